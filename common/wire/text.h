/* Names, labels and strings: the rules that definitions and events share. Inside common/wire/ only. */
#ifndef SB_WIRE_TEXT_H
#define SB_WIRE_TEXT_H

#include "common/base/arena.h"
#include "common/wire/token.h"

/* Stores the reason (reason may be NULL) and the sentence; returns code. */
int wire_fail(enum wire_reason *reason, enum wire_reason r, struct err *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
int wire_no_memory(enum wire_reason *reason, struct err *e);

static inline bool wire_str_is(struct wire_str s, const char *text)
{
    size_t i = 0;

    while (i < s.n && text[i] && s.p[i] == text[i])
        i++;
    return i == s.n && !text[i];
}
/* Byte order, a prefix before what it begins: the order in which maps are written. */
int wire_str_cmp(struct wire_str a, struct wire_str b);
/* For messages: printf("%.*s", WIRE_SHOW(s)). Cut at 60 bytes. */
#define WIRE_SHOW(s) (int)((s).n < 60 ? (s).n : 60), ((s).p ? (s).p : "")

bool wire_agent_ok(struct wire_str s);
bool wire_event_kind_ok(struct wire_str s);

/* Checks names, values and number of labels that are sorted by name. `bad` is the reason of whatever breaks a
 * rule; lengths and number are WIRE_LIMIT. */
int wire_labels_check(const struct wire_label *l, uint32_t n, enum wire_reason bad, enum wire_reason *reason,
                      struct err *e);
/* Reads a map of str to str into the arena, sorted by name
 * and checked. The reader stands behind it afterwards. */
int wire_labels_read(struct reader *r, struct arena *a, struct wire_label **out, uint32_t *n,
                     enum wire_reason bad, enum wire_reason *reason, struct err *e);
void wire_labels_sort(struct wire_label *l, uint32_t n);

/* wire_walk with a depth of the caller's; root_bins: a map at the root may have bin keys instead of str. */
int wire_walk_to(const uint8_t *p, size_t n, unsigned depth, bool root_bins, enum wire_reason *reason,
                 struct err *e);

#endif
