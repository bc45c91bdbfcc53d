/* Files of procfs and sysfs with kept descriptors: each is read at most once in a generation (a tick),
 * however many collectors want it, into a buffer of its own that grows to what the file needs. */
#ifndef SB_AGENT_FILES_IO_H
#define SB_AGENT_FILES_IO_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

enum { FILE_MAX = 4 << 20 }; /* bytes of one file; a longer one counts as unreadable (EFBIG) */

struct files;

struct files *files_new(const char *root, struct mem *mem); /* root is copied; NULL without memory */
void files_free(struct files **f);

/* Registers a path below the root ("proc/stat") and returns its index; the same path gives the same one.
 * Opens nothing. ERR_NOMEM; ERR_LIMIT when the path is too long. */
int files_add(struct files *f, const char *path);

/* The file's bytes in this generation, borrowed until the next; {NULL, 0} when it cannot be read, and the
 * errno in *why (may be NULL). One that is absent is looked for again every 30 generations. A descriptor that
 * has gone stale is opened anew. */
struct bytes files_read(struct files *f, int index, uint64_t generation, int *why);

#endif
