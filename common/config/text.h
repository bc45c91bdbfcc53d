/* Small judgements about text, pure: UTF-8 and how alike two words are. */
#ifndef SB_CONFIG_TEXT_H
#define SB_CONFIG_TEXT_H

#include <stddef.h>

/* Length (1 to 4) of the UTF-8 sequence at p, of which n ≥ 1 bytes are there; 0 when it is none (RFC 3629: no
 * overlong forms, no surrogates, nothing beyond U+10FFFF). */
size_t utf8_len(const unsigned char *p, size_t n);

/* The largest length ≤ max at which s of n bytes may be cut without splitting a character. */
size_t utf8_cut(const char *s, size_t n, size_t max);

enum { WORD_FAR = 1000 };
/* Insertions, deletions, replacements and swaps of neighbours that make b of a, each stretch being edited
 * once (the "optimal string alignment" form of Damerau, CACM 7(3), 1964). Case does not count. WORD_FAR for
 * words over 64 bytes. */
size_t word_distance(const char *a, const char *b);

/* Keeps the nearest word seen so far: zero-initialise, offer each candidate, read `best` (NULL: none is near
 * enough, that is within a third of the word's length, at least 1 and at most 3 edits). */
struct nearest {
    const char *best; /* borrowed from the candidates */
    size_t distance;
};
void nearest_offer(struct nearest *n, const char *word, const char *candidate);

#endif
