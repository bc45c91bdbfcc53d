/* The form of the stored records, shared by persist.c and restore.c. Private to this room. */
#ifndef SB_SERIES_PERSIST_H
#define SB_SERIES_PERSIST_H

#include "aggregator/series/percentile.h"

enum { RECORD_VERSION = 1 };

#endif
