/* The inside of the core: what its files share. Nothing here outlives a step except `struct fo`. */
#ifndef SB_FAILOVER_CORE_PRIVATE_H
#define SB_FAILOVER_CORE_PRIVATE_H

#include "aggregator/failover/failover.h"

/* One step: the state, the event, and whether `next` is being written (a draft lives for one step: what is not committed
 * at its end is decided anew at the next). */
struct fo_turn {
    struct fo *s;
    const struct fo_config *c;
    struct fo_effects *out;
    int64_t now, wall;
    bool dirty;
};

/* What a row does besides telling and moving: `when` decides, `then` writes the draft. */
struct fo_rule {
    bool (*when)(struct fo_turn *t);
    void (*then)(struct fo_turn *t);
};
extern const struct fo_rule fo_rules[]; /* by the index of fo_rows */

enum {
    FO_SECOND = 1000,
    FO_INSIDE = 20 * FO_SECOND, /* a decider inside the active region waits so long for one outside */
    FO_READ_EVERY = 2 * FO_SECOND,
    FO_UNREAD = 30 * FO_SECOND, /* a holder that cannot read the record gives way */
    FO_ANSWER_MOST =
        10 * FO_SECOND, /* behind its time-out: an answer that the shell owes will not come any more */
    FO_SUPPRESS = 4 * 3600 * FO_SECOND,
    FO_SUPPRESS_MOST = 24 * 3600 * FO_SECOND
};

/* ---- core.c ---- */
struct fo_effect *fo_emit(struct fo_turn *t, enum fo_effect_kind kind);
/* The record to be committed at the end of this step. Only while fo_can_write. */
struct fo_record *fo_draft(struct fo_turn *t);
/* We hold the lease, and nothing is being committed or has to be read first. */
bool fo_can_write(const struct fo_turn *t);
/* The same, and nothing is decided yet in this step: state and record can be compared. */
bool fo_quiet(const struct fo_turn *t);
uint64_t fo_random(struct fo *s);
static inline bool fo_bit(unsigned bits, unsigned i)
{
    return i < FO_REGIONS && (bits >> i & 1) != 0;
}

/* ---- core_take.c: events into the state ---- */
void fo_take(struct fo_turn *t, const struct fo_event *e);
void fo_copy_record(struct fo_record *to, const struct fo_record *from);
void fo_copy_text(char *to, size_t cap, const char *from);

/* ---- core_lease.c ---- */
void fo_take_lease(struct fo_turn *t, const struct fo_event *e);
void fo_take_record(struct fo_turn *t, const struct fo_event *e);
void fo_take_stored(struct fo_turn *t, const struct fo_event *e);
void fo_keep_lease(struct fo_turn *t); /* acquire, keep and read as it is time */
void fo_store_overdue(struct fo_turn *t);
void fo_read_again(struct fo_turn *t);
void fo_resign(struct fo_turn *t);
/* Milliseconds that an effect begun now may take; 0: none may begin. */
int32_t fo_room(const struct fo_turn *t, int32_t timeout_ms);

/* ---- core_run.c: actions of a step ---- */
void fo_take_action(struct fo_turn *t, const struct fo_event *e);
void fo_run_overdue(struct fo_turn *t);                   /* answers that do not come */
uint8_t fo_phase_now(const struct fo *s, uint8_t action); /* as settled here, else as committed */
void fo_run_clear(struct fo *s);
void fo_run_resume(struct fo_turn *t); /* open intents begin with a probe */
void fo_run_step(struct fo_turn *t, enum plan_step step);
void fo_run_undo(struct fo_turn *t);
/* All required ones done, all others over. */
bool fo_step_over(const struct fo_turn *t, enum plan_step step);
/* Of a required action of this step that failed; FO_R_NONE. */
enum fo_reason fo_step_failed(const struct fo_turn *t, enum plan_step step);
void fo_run_give_up(struct fo_turn *t, enum plan_step step); /* what is still open has failed */
/* What has to be taken back and cannot: why; FO_R_NONE. */
enum fo_reason fo_undo_failed(const struct fo_turn *t);
void fo_settle(struct fo_turn *t); /* what has settled goes into the draft */

/* ---- core_plan.c ---- */
void fo_plan_begin(struct fo_turn *t);
void fo_plan_drive(struct fo_turn *t); /* the record becomes what the state asks for, then actions run */
void fo_plan_undo(struct fo_turn *t);
void fo_plan_end_undo(struct fo_turn *t);
void fo_plan_stuck(struct fo_turn *t, enum fo_reason why);
void fo_plan_hold(struct fo_turn *t);
uint8_t fo_fenced(const struct fo_turn *t);       /* the rung that holds now, 0 none */
bool fo_target_up(const struct fo_turn *t);       /* a majority says so now */
bool fo_recovered(const struct fo_turn *t);       /* what the plan was begun for is over */
fo_reasons fo_last_look(const struct fo_turn *t); /* what forbids promoting */
bool fo_plan_is_live(const struct fo_record *r);
bool fo_validating(const struct fo_turn *t); /* good at this moment */

/* ---- core_gate.c ---- */
bool fo_asked(const struct fo *s); /* a command that wants a move is pending */
enum fo_kind fo_gate_kind(const struct fo *s);
uint8_t fo_gate_to(const struct fo_turn *t);
fo_reasons fo_gate_reasons(const struct fo_turn *t);
void fo_say_why(struct fo_turn *t); /* into `reasons`; with nothing against a move, a commit is waited for */

/* ---- core_command.c ---- */
void fo_take_command(struct fo_turn *t, const struct fo_event *e);
void fo_command_drive(struct fo_turn *t); /* commands that only write the record */
/* What the pending command has called off is not begun again by the machine: it proposes, until that ends. */
void fo_command_propose(struct fo_turn *t);
bool fo_pending(const struct fo *s, enum fo_command c);
void fo_answer(struct fo_turn *t, enum fo_reason code, fo_reasons reasons);
void fo_break_glass(struct fo_turn *t);
void fo_unstick(struct fo_turn *t);

/* ---- core_page.c ---- */
void fo_pages(struct fo_turn *t);

/* ---- gates.c ---- */
uint8_t fo_mode(const struct fo *s, const struct fo_config *c,
                int64_t wall); /* enum fo_automation in force */
bool fo_in_force(const struct fo_suppression *x, int64_t wall);
fo_reasons fo_loss_may(const struct fo *s, const struct fo_config *c, uint8_t to, int64_t accepted,
                       int64_t now);
bool fo_has_steps(const struct fo_config *c, enum fo_kind kind);
bool fo_can_fence(const struct fo_config *c, uint8_t from, enum fo_kind kind);
enum { FO_FLAP_STEP = 1000, FO_FLAP_SUPPRESS = 2000, FO_FLAP_REUSE = 750, FO_FLAP_MOST = 12000 };

#endif
