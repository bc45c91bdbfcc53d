/* The journal of what was decided and done: one JSON object a line, each with the hash of the line before, so that a line
 * that was changed, lost, added or moved shows. Pure.
 *
 *   {"seq":2,"t":"2026-11-24T06:00:00.000Z","service":"app","plan":"app-7","epoch":7,"token":"1.4711","step":"fence",
 *    "action":"stop-db","phase":"RESULT","class":"ok","row":41,"actor":"west","text":"…","prev":"<64 hex>","hash":"<64 hex>"}
 *
 * `hash` is SHA-256 (FIPS 180-4) of the line's own bytes before `,"hash":`, `prev` among them: nothing has to be written anew
 * to check it. The first line's prev is 64 zeros. The chain is no signature: whoever may write the store can write all of it
 * anew. What shows that is a copy in another region: fo_journal_compare. */
#ifndef SB_FAILOVER_JOURNAL_H
#define SB_FAILOVER_JOURNAL_H

#include "aggregator/failover/failover.h"

enum fo_journal_phase {
    FO_JOURNAL_INTENT,
    FO_JOURNAL_RESULT,
    FO_JOURNAL_NOTE,
    FO_JOURNAL_TRANSITION,
    FO_JOURNAL_PHASES
};
const char *fo_journal_phase_name(enum fo_journal_phase p); /* "INTENT" … */

enum { FO_JOURNAL_HASH = 65, FO_JOURNAL_TEXT = 400, FO_JOURNAL_WORD = 24, FO_JOURNAL_LINE = 4096 };

struct fo_journal_line {
    uint64_t seq; /* 1 … ; given by fo_journal_write */
    struct wall t;
    char service[FO_NAME];
    char plan[FO_NAME]; /* "" none, likewise below */
    uint32_t epoch;
    struct fencing token;
    char step[FO_JOURNAL_WORD];
    char action[FO_NAME];
    enum fo_journal_phase phase;
    char class_name[FO_JOURNAL_WORD]; /* "class": of a RESULT */
    uint16_t row;                     /* of the table: which rule ordered it; 0 none */
    char actor[FO_WHO];               /* voter, or who gave the command */
    char text[FO_JOURNAL_TEXT];
    char prev[FO_JOURNAL_HASH], hash[FO_JOURNAL_HASH]; /* lower-case hex */
};

/* The end of a chain: all zeros when it is empty. */
struct fo_journal_head {
    uint64_t seq;
    char hash[FO_JOURNAL_HASH];
};

/* Appends the line, without a newline, behind `head`, and moves head on. seq, prev and hash of l are not looked at; what is
 * not UTF-8 is written as '?'. 0, ERR_LIMIT (nothing is appended, head is as it was). */
int fo_journal_write(const struct fo_journal_line *l, struct fo_journal_head *head, struct buf *out);
/* Total on any bytes. Reads one line, without its newline, and checks its hash. ERR_MALFORMED, ERR_LIMIT. */
int fo_journal_read(struct bytes line, struct fo_journal_line *out, struct err *e);
/* Whether l, as read, comes right behind head; an empty head lets any line begin (an export of the newest lines), but the
 * first of all has no line before. Tokens do not go back, nor do epochs. Moves head on. */
int fo_journal_follows(const struct fo_journal_line *l, struct fo_journal_head *head,
                       const struct fo_journal_line *before, struct err *e);

struct fo_journal_report {
    uint64_t lines, good; /* read; before the first bad one */
    uint64_t first, last; /* seq of the good ones; 0 none */
    uint64_t bad;         /* number of the first bad line in the text, 1 … ; 0: none */
    char why[200];
    struct fo_journal_head head; /* of the last good one */
};
/* A text of lines, oldest first, each ended by a newline (the last may lack it). 0; ERR_MALFORMED when a line is bad: those
 * behind it are not looked at. */
int fo_journal_verify(struct bytes text, struct fo_journal_report *out);

struct fo_journal_difference {
    uint64_t same;           /* lines that both have, alike */
    uint64_t only_a, only_b; /* lines that one of them alone has: before, or behind, the stretch of both */
    uint64_t seq;            /* the first that both have and that is not the same; 0 none */
    struct fo_journal_report a, b;
};
/* Two exports of one service, from two regions. 0: both chains hold and agree where both have lines; ERR_MALFORMED: a chain
 * is broken (see a, b); ERR_STATE: they differ at `seq`, that is, one of them was rewritten or the store had two lives. */
int fo_journal_compare(struct bytes a, struct bytes b, struct fo_journal_difference *out);

#endif
