/* The machine that sends: see shipper.h. Answers are judged by the table of docs/protocol.md, section 4. */
#include "agent/ship/shipper.h"

#include <string.h>

enum { BACKOFF_FIRST_MS = 1000, BACKOFF_MAX_MS = 60000, RETRY_AFTER_MAX_MS = 3600000 };

struct step {
    struct shipper *s;
    const struct ship_event *e;
    struct ship_effect *out;
    unsigned n;
};

const char *ship_state_name(enum ship_state s)
{
    static const char *const names[SHIP_STATES] = {"idle",     "asking",  "sending", "finding",
                                                   "defining", "waiting", "moving",  "stopped"};

    return s < SHIP_STATES ? names[s] : "unknown";
}

void shipper_init(struct shipper *s, unsigned n_endpoints, struct span failback, uint64_t seed)
{
    *s = (struct shipper){.n_endpoints = n_endpoints ? n_endpoints : 1, .failback = failback};
    rng_seed(&s->rng, seed);
}

static struct ship_effect *effect(struct step *t, enum ship_effect_type type)
{
    struct ship_effect *f = &t->out[t->n++];

    *f = (struct ship_effect){.type = type,
                              .endpoint = t->s->endpoint,
                              .epoch = t->s->item.epoch,
                              .seq = t->s->item.seq,
                              .status = t->e->type == SHIP_EV_ANSWER ? t->e->status : 0};
    return f;
}

static void complain(struct step *t, const char *say)
{
    effect(t, SHIP_DO_COMPLAIN)->say = say;
    t->s->complaining = true;
}

static void ask(struct step *t)
{
    t->s->state = SHIP_ASKING;
    (void)effect(t, SHIP_DO_FRONT);
}

static void wait_for(struct step *t, struct span d)
{
    t->s->state = SHIP_WAITING;
    effect(t, SHIP_DO_TIMER)->wait = d;
}

static void use(struct shipper *s, unsigned endpoint, struct mono now)
{
    if (endpoint == s->endpoint)
        return;
    s->endpoint = endpoint;
    s->stats.failovers++;
    s->first_again = mono_add(now, s->failback);
}

/* A random part of 1 s, 2 s, 4 s … 60 s. */
static struct span backoff(struct shipper *s)
{
    int64_t ceiling = s->round < 6 ? (int64_t)BACKOFF_FIRST_MS << s->round : BACKOFF_MAX_MS;

    s->round++;
    return span_ms((int64_t)rng_below(&s->rng, (uint64_t)ceiling) + 1);
}

/* The batch goes to the endpoint in use, or waits until one may be asked. */
static void post(struct step *t)
{
    struct shipper *s = t->s;
    struct span least = {INT64_MAX};

    for (unsigned i = 0; i < s->n_endpoints; i++) {
        unsigned k = (s->endpoint + i) % s->n_endpoints;
        struct span left = mono_sub(s->not_before[k], t->e->now);

        if (left.ns <= 0) {
            use(s, k, t->e->now);
            s->state = SHIP_SENDING;
            s->stats.sent++;
            (void)effect(t, SHIP_DO_POST);
            return;
        }
        if (left.ns < least.ns)
            least = left;
    }
    wait_for(t, least);
}

/* No usable answer from the endpoint in use: the next at once, or all of them later. */
static void next_endpoint(struct step *t, const char *say)
{
    struct shipper *s = t->s;

    complain(t, say);
    if (++s->failed_in_row < s->n_endpoints) {
        use(s, (s->endpoint + 1) % s->n_endpoints, t->e->now);
        ask(t);
        return;
    }
    s->failed_in_row = 0;
    use(s, 0, t->e->now);
    wait_for(t, backoff(s));
}

static void usable(struct step *t)
{
    t->s->failed_in_row = 0;
    t->s->round = 0;
    if (t->s->complaining)
        (void)effect(t, SHIP_DO_RECOVERED);
    t->s->complaining = false;
}

/* Not now: never earlier than told, and then spread out over half as long again. */
static void held(struct step *t)
{
    struct shipper *s = t->s;
    struct span told = t->e->retry_after, wait;

    s->stats.held++;
    if (told.ns <= 0) {
        next_endpoint(t, t->e->status == 429 ? "told to slow down" : "not available");
        return;
    }
    if (told.ns > span_ms(RETRY_AFTER_MAX_MS).ns)
        told = span_ms(RETRY_AFTER_MAX_MS);
    wait = span_ns(told.ns + (int64_t)rng_below(&s->rng, (uint64_t)(told.ns / 2 + 1)));
    s->not_before[s->endpoint] = mono_add(t->e->now, wait);
    complain(t, t->e->status == 429 ? "told to slow down" : "not available");
    if (t->e->status == 429 || s->n_endpoints == 1)
        wait_for(t, wait);
    else
        ask(t);
}

/* This batch will never be taken. */
static void dead(struct step *t, const char *say)
{
    struct shipper *s = t->s;

    s->stats.dead++;
    usable(t);
    effect(t, SHIP_DO_DROP)->say = say;
    s->defining = 0;
    ask(t);
}

static void acknowledged(struct step *t)
{
    struct shipper *s = t->s;
    const struct wire_answer *a = t->e->answer;
    struct ship_effect *f;

    if (a->epoch != s->item.epoch || a->seq != s->item.seq) {
        s->stats.failures[SHIP_FAIL_STRANGER]++;
        next_endpoint(t, "an answer to another batch");
        return;
    }
    usable(t);
    s->stats.duplicates += a->duplicate;
    f = effect(t, SHIP_DO_ACK);
    for (int i = 0; i < WIRE_REFUSALS; i++)
        f->refused[i] = a->refused[i];
    f->refused[WIRE_REFUSALS] = a->refused_other;
    s->defining = 0;
    if (s->endpoint && !mono_before(t->e->now, s->first_again))
        use(s, 0, t->e->now);
    ask(t);
}

/* A newer spool of this agent exists. When nothing of this one was ever acknowledged, it is this one
 * that is new, and moves behind the other; else this one is a copy, or came back from a copy. */
static void superseded(struct step *t)
{
    uint64_t after = t->e->answer->epoch + 1, now = t->e->wall.ms > 0 ? (uint64_t)t->e->wall.ms : 1;

    if (t->e->acked_epoch == t->s->item.epoch || after == 0) {
        complain(
            t,
            "this spool is a copy: a newer one of the same agent is in use; nothing is sent until restarted");
        t->s->state = SHIP_STOPPED;
        return;
    }
    usable(t);
    t->s->state = SHIP_MOVING;
    effect(t, SHIP_DO_MOVE)->epoch = after > now ? after : now;
}

/* The epoch lies ahead of the aggregator's clock, and of this host's own by now: the
 * spool was begun while the clock was wrong, and nothing of it will ever be taken.
 * Where the clock is still wrong, so are the stamps: that is a dead letter. */
static bool ahead_of_time(struct step *t)
{
    const struct spool_item *item = &t->s->item;

    if (t->e->answer->reason != WIRE_EPOCH || t->e->wall.ms <= 0 || (uint64_t)t->e->wall.ms >= item->epoch ||
        t->e->acked_epoch == item->epoch)
        return false;
    usable(t);
    t->s->state = SHIP_MOVING;
    effect(t, SHIP_DO_MOVE)->epoch = (uint64_t)t->e->wall.ms;
    return true;
}

static const char *const failures[SHIP_FAILURES] = {
    [SHIP_FAIL_DNS] = "dns",           [SHIP_FAIL_CONNECT] = "connect",
    [SHIP_FAIL_TLS] = "tls",           [SHIP_FAIL_CERTIFICATE] = "certificate",
    [SHIP_FAIL_TIMEOUT] = "timeout",   [SHIP_FAIL_SEND] = "send",
    [SHIP_FAIL_RECEIVE] = "receive",   [SHIP_FAIL_TOO_LARGE] = "too_large",
    [SHIP_FAIL_PROTOCOL] = "protocol", [SHIP_FAIL_STRANGER] = "stranger",
};

static enum ship_failure failure_of(const char *why)
{
    int i = 0;

    while (why && i < SHIP_FAIL_PROTOCOL && strcmp(failures[i], why) != 0)
        i++;
    return why ? (enum ship_failure)i : SHIP_FAIL_PROTOCOL;
}

uint64_t shipper_failures(const struct shipper *s)
{
    uint64_t sum = 0;

    for (int i = 0; i < SHIP_FAILURES; i++)
        sum += s->stats.failures[i];
    return sum;
}

static void unusable(struct step *t)
{
    t->s->stats.failures[t->e->ok ? SHIP_FAIL_STRANGER : failure_of(t->e->why)]++;
    next_endpoint(t, t->e->ok ? "an answer that is not an aggregator's" : "no answer");
}

/* Answers that mean the same for batches and definitions. False: not one of them. */
static bool common_answer(struct step *t)
{
    if (!t->e->ok || !t->e->ours) {
        unusable(t);
        return true;
    }
    switch (t->e->status) {
    case 401:
    case 403:
        t->s->stats.denied++;
        next_endpoint(t, "not let in");
        return true;
    case 429:
    case 503: held(t); return true;
    default: return false;
    }
}

static void batch_answer(struct step *t)
{
    if (common_answer(t))
        return;
    switch (t->e->status) {
    case 200: acknowledged(t); break;
    case 409:
        if (++t->s->defining > SHIP_MAX_DEFINING || !t->e->answer->n_need) {
            dead(t, "definitions are asked for without end");
            break;
        }
        usable(t);
        t->s->state = SHIP_FINDING;
        (void)effect(t, SHIP_DO_FIND);
        break;
    case 410: superseded(t); break;
    case 400:
    case 404:
    case 405:
    case 411:
    case 413:
    case 415: dead(t, "refused for good"); break;
    case 422:
        if (!ahead_of_time(t))
            dead(t, "refused for good");
        break;
    default: unusable(t);
    }
}

static void definitions_answer(struct step *t)
{
    if (common_answer(t))
        return;
    switch (t->e->status) {
    case 200:
        usable(t);
        t->s->state = SHIP_SENDING;
        t->s->stats.sent++;
        (void)effect(t, SHIP_DO_POST);
        break;
    case 400:
    case 404:
    case 405:
    case 411:
    case 413:
    case 415:
    case 422: dead(t, "its definitions are refused for good"); break;
    default: unusable(t);
    }
}

/* To ask again at once would be a circle. */
static void unreadable(struct step *t)
{
    complain(t, "the spool does not give what it holds");
    wait_for(t, backoff(t->s));
}

static void front(struct step *t)
{
    if (t->e->failed) {
        unreadable(t);
        return;
    }
    if (!t->e->ok) {
        t->s->state = SHIP_IDLE;
        return;
    }
    if (t->e->item.epoch != t->s->item.epoch || t->e->item.seq != t->s->item.seq)
        t->s->defining = 0;
    t->s->item = t->e->item;
    post(t);
}

unsigned shipper_step(struct shipper *s, const struct ship_event *e, struct ship_effect *out)
{
    struct step t = {s, e, out, 0};

    switch (e->type) {
    case SHIP_EV_CHANGED:
        if (s->state == SHIP_IDLE)
            ask(&t);
        break;
    case SHIP_EV_FRONT:
        if (s->state == SHIP_ASKING)
            front(&t);
        break;
    case SHIP_EV_ANSWER:
        if (s->state == SHIP_SENDING)
            batch_answer(&t);
        else if (s->state == SHIP_DEFINING)
            definitions_answer(&t);
        break;
    case SHIP_EV_BODY:
        if (s->state == SHIP_FINDING && e->failed) {
            unreadable(&t);
        } else if (s->state == SHIP_FINDING && e->found) {
            s->state = SHIP_DEFINING;
            s->stats.definitions++;
            (void)effect(&t, SHIP_DO_POST_DEFS);
        } else if (s->state == SHIP_FINDING) {
            dead(&t, "its definitions are lost");
        }
        break;
    case SHIP_EV_MOVED:
        if (s->state == SHIP_MOVING && e->ok)
            ask(&t);
        else if (s->state == SHIP_MOVING)
            wait_for(&t, backoff(s));
        break;
    case SHIP_EV_TIMER:
        if (s->state == SHIP_WAITING)
            ask(&t);
        break;
    }
    return t.n;
}

enum row { SENT, DUPLICATES, FAILURES, DEFINITIONS, FAILOVERS, DEAD, STATE, ENDPOINT, ROWS };

static const struct metric_row shipper_rows[] = {
    [SENT] = {"securebase_agent_ship_requests_total", METRIC_COUNTER, 1, 1, "",
              "Requests made with a batch."},
    [DUPLICATES] = {"securebase_agent_ship_duplicates_total", METRIC_COUNTER, 1, 1, "",
                    "Batches that the aggregator had already: its first answer was lost."},
    [FAILURES] = {"securebase_agent_ship_failures_total", METRIC_COUNTER, 1, 1, "reason",
                  "Requests that delivered nothing, by reason."},
    [DEFINITIONS] = {"securebase_agent_ship_definitions_total", METRIC_COUNTER, 1, 1, "",
                     "Requests made with definitions."},
    [FAILOVERS] = {"securebase_agent_ship_endpoint_changes_total", METRIC_COUNTER, 1, 1, "",
                   "Times that another endpoint was turned to."},
    [DEAD] = {"securebase_agent_ship_dead_letters_total", METRIC_COUNTER, 1, 1, "",
              "Batches given up because an aggregator will never take them."},
    [STATE] = {"securebase_agent_ship_state", METRIC_GAUGE, 1, 1, "state",
               "1 for the state that shipping is in."},
    [ENDPOINT] = {"securebase_agent_ship_endpoint", METRIC_GAUGE, 1, 1, "",
                  "Place of the endpoint in use among those configured, from 0."},
};

void shipper_metrics(const struct shipper *s, struct sink *out)
{
    const struct metric_row *r = shipper_rows;
    struct text l;

    sink_uint(out, &r[SENT], NULL, s->stats.sent);
    sink_uint(out, &r[DUPLICATES], NULL, s->stats.duplicates);
    for (int i = 0; i < SHIP_FAILURES; i++) {
        l = text_of(failures[i]);
        sink_uint(out, &r[FAILURES], &l, s->stats.failures[i]);
    }
    l = text_of("denied");
    sink_uint(out, &r[FAILURES], &l, s->stats.denied);
    l = text_of("held");
    sink_uint(out, &r[FAILURES], &l, s->stats.held);
    sink_uint(out, &r[DEFINITIONS], NULL, s->stats.definitions);
    sink_uint(out, &r[FAILOVERS], NULL, s->stats.failovers);
    sink_uint(out, &r[DEAD], NULL, s->stats.dead);
    for (int i = 0; i < SHIP_STATES; i++) {
        l = text_of(ship_state_name((enum ship_state)i));
        sink_int(out, &r[STATE], &l, s->state == (enum ship_state)i);
    }
    sink_int(out, &r[ENDPOINT], NULL, (int64_t)s->endpoint);
}
