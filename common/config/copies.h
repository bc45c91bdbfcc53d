/* Copies of options for those that outlive the configuration, secrets among them. In copies_io.c. */
#ifndef SB_CONFIG_COPIES_H
#define SB_CONFIG_COPIES_H

#include "common/config/config.h"

/* A copy of the text of an option, or of the i-th word of a list; NULL when it is not set. Freed with free(). */
char *option_copy(const struct section *s, const char *key);
char *option_word_copy(const struct section *s, const char *key, size_t i);
/* Reads a secret of one line into *out (free_secret); NULL when it is not set. 0 or an error that does not show it. */
int secret_copy(const struct section *s, const char *key, char **out, struct err *e);
void free_secret(char **s); /* overwrites it */
/* Puts stars where the text shows the secret or its beginning, of an address its path too, of "Bearer token" the token: a
 * service may repeat that part alone. */
void secret_scrub(char *text, const char *secret);
char *text_join(const char *a, const char *b);      /* freed with free_secret() */
char *url_join(const char *base, const char *path); /* with one slash between; freed with free() */

#endif
