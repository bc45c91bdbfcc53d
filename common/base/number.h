/* Numbers as text, the way Prometheus reads them. */
#ifndef SB_BASE_NUMBER_H
#define SB_BASE_NUMBER_H

#include <stddef.h>

enum { NUMBER_TEXT = 32 };

/* The shortest decimal text that reads back as v: "0.99", "1e+300",
 * "12345", "NaN", "+Inf", "-Inf". Returns its length. */
size_t number_text(double v, char out[NUMBER_TEXT]);

#endif
