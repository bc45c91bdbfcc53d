/* Names and sentences of states, reasons and the rest, and for each reason the command that helps. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/failover/failover.h"

struct named {
    const char *name, *text, *command;
};

static const struct named states[FO_STATES] = {
    [FO_S_BOOT] = {"BOOT", "The process has started and only looks.", ""},
    [FO_S_FOLLOW] = {"FOLLOW", "Another aggregator decides; this one votes.", ""},
    [FO_S_STEADY] = {"STEADY", "The active region serves.", ""},
    [FO_S_SUSPECT] = {"SUSPECT", "A voter doubts the active region; all look every second.", ""},
    [FO_S_GRAY] = {"GRAY", "Users are hurt, and monitors do not agree.", ""},
    [FO_S_CONFIRM] = {"CONFIRM", "The active region is down; it has to stay so without a break.", ""},
    [FO_S_GATE] = {"GATE", "A move is wanted: everything that could forbid it is looked at.", ""},
    [FO_S_BLOCKED] = {"BLOCKED", "A move is wanted and something forbids it.", ""},
    [FO_S_PREPARE] = {"PREPARE", "The plan is being committed.", ""},
    [FO_S_FENCE] = {"FENCE", "The old region is being stopped from writing.", ""},
    [FO_S_CATCHUP] = {"CATCHUP", "The target receives what it has not got yet.", ""},
    [FO_S_LASTLOOK] = {"LASTLOOK", "Votes and loss are looked at once more: the last moment to turn back.",
                       ""},
    [FO_S_UNDO] = {"UNDO", "The move is being taken back.", ""},
    [FO_S_PROMOTE] = {"PROMOTE", "The target is made writable; from here only forward.", ""},
    [FO_S_WARM] = {"WARM", "Capacity and caches of the target are made ready.", ""},
    [FO_S_TEST] = {"TEST", "A write and a read in the target.", ""},
    [FO_S_SWITCH] = {"SWITCH", "Users are sent to the target.", ""},
    [FO_S_VALIDATE] = {"VALIDATE", "The target is watched from outside until all is well for long enough.",
                       ""},
    [FO_S_TIDY] = {"TIDY", "The move is made permanent.", ""},
    [FO_S_HOLD] = {"HOLD", "A move has ended; nothing moves by itself for a while.", ""},
    [FO_S_STUCK] = {"STUCK", "A move cannot go on by itself: people have to look.", ""},
    [FO_S_RESUME] = {"RESUME", "The lease is ours; the record is read, claimed and taken up.", ""},
    [FO_S_FROZEN] = {"FROZEN", "The authority is away; nothing is begun and users stay where they are.", ""},
};

/* SERVICE stands for the service's name, REGION for a region. */
static const struct named reasons[FO_REASONS] = {
    [FO_R_NONE] = {"none", "Nothing forbids it.", ""},
    [FO_R_QUORUM] = {"quorum", "Fewer than a majority of the configured voters are heard.",
                     "sbctl failover status SERVICE"},
    [FO_R_NOT_DOWN] = {"not_down", "The votes do not say that the active region is down.",
                       "sbctl failover start SERVICE --to REGION --reason WHY"},
    [FO_R_FAIL_STATIC] = {"fail_static",
                          "Everything looks down to most voters: it is more likely that we see badly.",
                          "sbctl failover explain SERVICE"},
    [FO_R_LEASE] = {"lease", "This aggregator does not hold the lease, or not for long enough.",
                    "sbctl failover status SERVICE"},
    [FO_R_STORE] = {"store", "The authority does not answer.", "sbctl failover status SERVICE"},
    [FO_R_TILT] = {"tilt", "The clock or the loop of this aggregator jumped a moment ago.",
                   "sbctl failover status SERVICE"},
    [FO_R_PROMISED] = {"promised", "A guard was promised a moment ago that this aggregator does not act.",
                       "sbctl failover status SERVICE"},
    [FO_R_LOCKED] = {"locked", "Somebody has locked the service.",
                     "sbctl failover unlock SERVICE --reason WHY"},
    [FO_R_MAINTENANCE] = {"maintenance", "The service is in maintenance.",
                          "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_MUST_NOT] = {"must_not", "Somebody has ruled this region out.",
                       "sbctl failover unlock SERVICE --to REGION --reason WHY"},
    [FO_R_AUTOMATION] = {"automation", "The service does not move by itself: somebody has to approve.",
                         "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_HOLD] = {"hold", "The last move ended not long ago.",
                   "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_PLAN_LIVE] = {"plan_live", "Another move is under way.", "sbctl failover plan SERVICE"},
    [FO_R_TARGET_DOWN] = {"target_down", "No region to go to is up.", "sbctl failover status SERVICE"},
    [FO_R_TARGET_YOUNG] = {"target_young", "The target has not been up for long enough.",
                           "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_READINESS_OLD] = {"readiness_old", "The readiness of the target was not checked lately.",
                            "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_CAPACITY] = {"capacity", "The target cannot carry the peak of the last hour.",
                       "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_QUOTA] = {"quota", "A quota of the target is too small.",
                    "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_CREDENTIALS] = {"credentials", "Credentials that the move needs do not work.",
                          "sbctl failover readiness SERVICE"},
    [FO_R_VERSIONS] = {"versions", "The target runs other versions.",
                       "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_TTL] = {"ttl", "A record's time to live is longer than 60 s.",
                  "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_DNS_PROTECTED] = {"dns_protected", "The DNS record is protected against changes.",
                            "sbctl failover readiness SERVICE"},
    [FO_R_PLACEMENT] = {"placement", "The authority or the deciders stand on one side.",
                        "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_ACTION] = {"action", "A required action could not be carried out now.",
                     "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_LAG_UNKNOWN] = {"lag_unknown", "Nobody knows how much the target lacks.",
                          "sbctl failover approve SERVICE --accept-data-loss SECONDS --reason WHY"},
    [FO_R_RPO] = {"rpo", "More would be lost than is allowed.",
                  "sbctl failover approve SERVICE --accept-data-loss SECONDS --reason WHY"},
    [FO_R_LAG_NOT_ZERO] = {"lag_not_zero", "The target did not catch up.", "sbctl failover status SERVICE"},
    [FO_R_BUDGET_DAY] = {"budget_day", "The service has moved by itself as often as it may in a day.",
                         "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_BUDGET_WEEK] = {"budget_week", "The service has moved by itself as often as it may in a week.",
                          "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_VELOCITY] = {"velocity", "Too many services are moving at once.",
                       "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_FLAP] = {"flap", "The region goes down and up too often.",
                   "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_NO_FENCE] = {"no_fence", "There is no way to make sure that the old region does not write.",
                       "sbctl failover approve SERVICE --fenced-by-hand --reason WHY"},
    [FO_R_FENCE_FAILED] = {"fence_failed", "The old region could not be stopped from writing.",
                           "sbctl failover approve SERVICE --fenced-by-hand --reason WHY"},
    [FO_R_ONE_REGION] = {"one_region", "There is no other region.", "sbctl failover status SERVICE"},
    [FO_R_STEP_FAILED] = {"step_failed", "A required action did not succeed in its time.",
                          "sbctl failover retry-step SERVICE --reason WHY"},
    [FO_R_STEP_CONFLICT] = {"step_conflict", "Somebody else has changed what an action is about.",
                            "sbctl failover retry-step SERVICE --reason WHY"},
    [FO_R_STEP_DENIED] = {"step_denied", "An action has not the rights that it needs.",
                          "sbctl failover retry-step SERVICE --reason WHY"},
    [FO_R_TOKEN_HIGHER] = {"token_higher", "A target was changed by somebody with a later lease.",
                           "sbctl failover resume SERVICE --reason WHY"},
    [FO_R_NOT_VALID] = {"not_valid", "From outside the target did not become well.",
                        "sbctl failover resume SERVICE --reason WHY"},
    [FO_R_HOME_YOUNG] = {"home_young", "The home region has not been up for long enough.",
                         "sbctl failover status SERVICE"},
    [FO_R_BLOCKING_ALARM] = {"blocking_alarm", "An alarm that forbids it is on.", "sbctl alerts"},
    [FO_R_WINDOW] = {"window", "It is not the time for it.", "sbctl failover status SERVICE"},
    [FO_R_CAP] = {"cap", "It took longer than a drill may.", "sbctl failover status SERVICE"},
    [FO_R_GRAY] = {"gray", "Users are hurt, and monitors do not agree.",
                   "sbctl failover approve SERVICE --reason WHY"},
    [FO_R_LEFT] = {"left", "It moved away from that region by itself, and nobody has looked since.",
                   "sbctl failover ack SERVICE --reason WHY"},
    [FO_R_BUSY] = {"busy", "Another command is being committed.", ""},
    [FO_R_NO_PLAN] = {"no_plan", "There is nothing that this command is about.",
                      "sbctl failover status SERVICE"},
    [FO_R_TOO_LATE] = {"too_late", "The point of no return is passed: only forward.",
                       "sbctl failover plan SERVICE"},
    [FO_R_INVALID] = {"invalid", "The region, the action or the plan is not one that can be meant.",
                      "sbctl failover status SERVICE"},
};

static const struct named nothing = {"?", "", ""};

static const struct named *of(const struct named *table, unsigned n, unsigned i)
{
    return i < n && table[i].name ? &table[i] : &nothing;
}

const char *fo_state_name(uint8_t s)
{
    return of(states, FO_STATES, s)->name;
}
const char *fo_state_text(uint8_t s)
{
    return of(states, FO_STATES, s)->text;
}
const char *fo_reason_name(enum fo_reason r)
{
    return of(reasons, FO_REASONS, (unsigned)r)->name;
}
const char *fo_reason_text(enum fo_reason r)
{
    return of(reasons, FO_REASONS, (unsigned)r)->text;
}
const char *fo_reason_command(enum fo_reason r)
{
    return of(reasons, FO_REASONS, (unsigned)r)->command;
}

static const char *name_of(const char *const *names, unsigned n, unsigned i)
{
    return i < n && names[i] ? names[i] : "?";
}

const char *fo_verdict_name(uint8_t v)
{
    static const char *const names[] = {"unknown", "up", "degraded", "down"};

    return name_of(names, 4, v);
}

const char *fo_class_name(uint8_t bit)
{
    switch (bit) {
    case FO_PROBES: return "probes";
    case FO_USERS: return "users";
    case FO_HEARTBEAT: return "heartbeat";
    case FO_DATABASE: return "database";
    case FO_AGENTS: return "agents";
    case FO_DEPENDENCY: return "dependency";
    default: return "?";
    }
}

const char *fo_kind_name(uint8_t k)
{
    static const char *const names[FO_KINDS] = {"failover", "switchover", "drill"};

    return name_of(names, FO_KINDS, k);
}

const char *fo_command_name(uint8_t c)
{
    static const char *const names[FO_COMMANDS] = {
        [FO_C_START] = "start",
        [FO_C_SWITCHOVER] = "switchover",
        [FO_C_FAILBACK] = "failback",
        [FO_C_APPROVE] = "approve",
        [FO_C_ABORT] = "abort",
        [FO_C_RESUME] = "resume",
        [FO_C_RETRY] = "retry",
        [FO_C_SKIP] = "skip",
        [FO_C_ACK] = "ack",
        [FO_C_LOCK] = "lock",
        [FO_C_UNLOCK] = "unlock",
        [FO_C_MUST_NOT] = "must_not",
        [FO_C_MAINTENANCE] = "maintenance",
        [FO_C_AUTOMATION] = "automation",
        [FO_C_FENCE] = "fence",
        [FO_C_UNFENCE] = "unfence",
        [FO_C_BREAK_GLASS] = "break_glass",
        [FO_C_DRILL] = "drill",
        [FO_C_DRILL_ABORT] = "drill_abort",
    };

    return name_of(names, FO_COMMANDS, c);
}

const char *fo_phase_name(uint8_t p)
{
    static const char *const names[] = {"idle", "intent", "done", "failed", "skipped", "undoing", "undone"};

    return name_of(names, 7, p);
}

const char *fo_automation_name(uint8_t m)
{
    static const char *const names[] = {"observe", "propose", "auto"};

    return name_of(names, 3, m);
}

void fo_reasons_text(fo_reasons which, char *out, size_t cap)
{
    size_t n = 0;

    out[0] = 0;
    for (int i = 1; i < FO_REASONS && n < cap; i++) {
        if (which & FO_BIT(i))
            n += (size_t)snprintf(out + n, cap - n, "%s%s", n ? ", " : "", fo_reason_name((enum fo_reason)i));
    }
}

uint8_t fo_region_index(const struct fo_names *names, uint8_t n, const char *region)
{
    for (uint8_t i = 0; region && i < n; i++) {
        if (strcmp(names->region[i], region) == 0)
            return i;
    }
    return FO_NONE;
}
