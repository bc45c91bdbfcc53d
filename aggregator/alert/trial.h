/* Trying rules without an aggregator: rules against written series on virtual time (sbctl test-rules), and two sets of
 * rules against stored roll-ups (sbctl replay). docs/alerts.md has the format of the test files. Pure. */
#ifndef SB_ALERT_TRIAL_H
#define SB_ALERT_TRIAL_H

#include "aggregator/alert/alert.h"

/* ---- test-rules ---- */

struct trial_params {
    struct config_source file; /* the test file */
    /* Reads a file that the test file names in `rules =`, as written there; 0 or a negative code with a sentence. */
    int (*load)(void *arg, const char *name, struct buf *out, struct err *e);
    void *arg;
    struct mem *mem;
};
struct trial_result {
    unsigned tests, expectations;
    unsigned failed; /* expectations that were not met */
};
/* Runs all tests of a file. What was not met, and what is wrong with files, is added to the report, a line each. 0: they
 * ran, look at r->failed; ERR_CONFIG, ERR_NOMEM or what load said. */
int trial_run(const struct trial_params *p, struct trial_result *r, struct buf *report, struct err *e);
/* The sections of a test file: [test NAME], [series NAME], [expect NAME]. */
enum { TRIAL_SECTIONS = 3 };
extern const struct section_row trial_sections[TRIAL_SECTIONS];

/* ---- replay ---- */

struct replay_params {
    const struct config *before,
        *after; /* rules as they are, and as they would be; before NULL: only after */
    struct wall from, to;
    struct span step; /* between evaluations; at least 10 s */
    const char *region;
    struct mem *mem;
    /* Tells all stored gains of these selections whose step begins in [from, to): facts_group and facts_gain. Asked once
     * for the time before `from` that windows reach back to, then step by step. */
    int (*tell)(void *arg, const struct selections *s, struct facts *into, struct wall from, struct wall to,
                struct err *e);
    void *arg;
};
/* {"from":…,"to":…,"before":{"firings":n,"seconds":s,"alerts":[{"alert":…,"labels":{…},"from":…,"to":…|null}]},
 *  "after":{…},"only_before":[…],"only_after":[…]}: what fired under each, and what under one alone (no firing of the same
 * alert overlaps it). Beyond 10000 firings a set's list is cut, and "left_off" says how many. 0, ERR_NOMEM, ERR_CONFIG, or
 * what tell said. */
int trial_replay(const struct replay_params *p, struct buf *json, struct err *e);

#endif
