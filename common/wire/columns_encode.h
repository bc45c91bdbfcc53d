/* Columns to bytes. Inside common/wire/ only. */
#ifndef SB_WIRE_COLUMNS_ENCODE_H
#define SB_WIRE_COLUMNS_ENCODE_H

#include "common/wire/wire.h"

/* Each clears `out` and fills it with one bin of the block; 0
 * or a negative code. Memory is looked at by the caller. */
int wire_put_jitter(const struct wire_block_out *b, struct buf *out, struct err *e);
int wire_put_mode(const struct wire_block_out *b, struct buf *out, struct err *e);
int wire_put_present(const struct wire_block_out *b, struct buf *out);
int wire_put_ints(const struct wire_block_out *b, struct buf *out, struct err *e);
int wire_put_reals(const struct wire_block_out *b, struct buf *out, struct err *e);
int wire_put_sketches(const struct wire_block_out *b, struct buf *out, struct err *e);

/* Values present of all series; *holes tells whether any is absent. */
uint64_t wire_count_values(const struct wire_block_out *b, bool *holes);

#endif
