/* Telling under random events: alerts that come, go and flap, receivers that are sound, flaky or dead, silences, holds,
 * restarts. Whatever happens, for the sound receiver:
 *   every firing that stays and that nothing stops is told within wait + interval + slack;
 *   what is told as firing fires at that moment, and no end is told twice or of what was not told;
 *   the same content is not told again before its repeat, however the others fail;
 *   every end of what was told is told within the interval + slack;
 * and when all is over, memory is as it was. PROPS=n runs more seeds. */
#include "common/base/rng.h"
#include "tests/unit/notify_kit.h"

enum { ALERTS = 12, EVENTS = 250, WAIT = 5000, INTERVAL = 60000, SLACK = 20000, REPEAT = 3600000 };

#define CONFIG                                                                                               \
    "[receiver sound]\ntype = log\n[receiver flaky]\ntype = log\n[receiver dead]\ntype = log\n"              \
    "[receiver other]\ntype = log\n[notify]\nretry_most = 30s\nstorm_messages = %d\n"                        \
    "[route all]\nreceivers = sound flaky dead\nfallback = other\ngroup_by = %s\nwait = 5s\ninterval = 1m\n" \
    "repeat = 1h\n[inhibit x]\nsource = team=t3\ntarget = team=t2\nequal = host\n"

struct model {
    struct sim *s;
    uint64_t seed;
    struct {
        char hex[33];
        char name[16];
        bool firing, open;          /* open: told as firing to the sound one, its end not */
        int64_t since, ended, told; /* virtual ms; told: last as firing */
        int64_t exposed;            /* since when nothing stops it; -1: something does */
        uint64_t told_epoch;
    } a[ALERTS];
    struct {
        char key[40];
        char content[2048];
        int64_t at;
    } groups[64];
    size_t n_groups;
    int64_t silenced_until[4]; /* by team */
};

static int alert_index(const struct model *m, const char *hex)
{
    for (int i = 0; i < ALERTS; i++) {
        if (strcmp(m->a[i].hex, hex) == 0)
            return i;
    }
    return -1; /* about receivers */
}

static void content_of(const struct model *m, const struct notification *n, char *out, size_t room)
{
    size_t len = 0;

    out[0] = 0;
    for (uint32_t i = 0; i < n->n_alerts && len < room; i++) {
        int k = alert_index(m, n->alerts[i].id);

        if (k >= 0)
            len += (size_t)snprintf(out + len, room - len, "%d:%d:%lld ", k, n->alerts[i].firing,
                                    (long long)n->alerts[i].since.ms);
    }
}

/* The same message to the same group: only after its repeat. */
static void check_repeat(struct model *m, const struct notification *n)
{
    char content[2048];
    size_t g = 0;

    content_of(m, n, content, sizeof content);
    while (g < m->n_groups && strcmp(m->groups[g].key, n->dedup_key) != 0)
        g++;
    if (g == m->n_groups) {
        assert_true(g < 64);
        (void)snprintf(m->groups[m->n_groups++].key, 40, "%s", n->dedup_key);
    } else if (n->tell == TELL_TRIGGER && strcmp(m->groups[g].content, content) == 0 &&
               m->s->ms - m->groups[g].at < REPEAT - 1000) {
        fail_msg("seed %llu: told again after %lld ms: %s", (unsigned long long)m->seed,
                 (long long)(m->s->ms - m->groups[g].at), n->title);
    }
    (void)snprintf(m->groups[g].content, sizeof content, "%s", content);
    m->groups[g].at = m->s->ms;
}

static void on_sent(void *arg, struct sim_node *node, const char *receiver, const struct notification *n)
{
    struct model *m = arg;

    (void)node;
    if (strcmp(receiver, "sound") != 0)
        return;
    for (uint32_t i = 0; i < n->n_alerts; i++) {
        int k = alert_index(m, n->alerts[i].id);

        if (k < 0)
            return;
        if (n->alerts[i].firing != m->a[k].firing)
            fail_msg("seed %llu: %s told as %s, which it is not", (unsigned long long)m->seed, m->a[k].name,
                     n->alerts[i].firing ? "firing" : "ended");
        if (n->alerts[i].firing) {
            m->a[k].told = m->s->ms;
            m->a[k].open = true;
        } else if (!m->a[k].open) {
            fail_msg("seed %llu: the end of %s is told twice, or without a beginning",
                     (unsigned long long)m->seed, m->a[k].name);
        } else {
            m->a[k].open = false;
        }
    }
    check_repeat(m, n);
}

static int team(int k)
{
    return k % 4;
}

static bool stopped(const struct model *m, int k)
{
    if (m->s->ms < m->silenced_until[team(k)])
        return true;
    if (team(k) != 2)
        return false;
    for (int i = 0; i < ALERTS; i++) { /* same host, team 3 */
        if (team(i) == 3 && i / 4 == k / 4 && m->a[i].firing)
            return true;
    }
    return false;
}

static void check(struct model *m)
{
    for (int k = 0; k < ALERTS; k++) {
        if (!m->a[k].firing || stopped(m, k) || m->s->nodes[0].hold)
            m->a[k].exposed = -1;
        else if (m->a[k].exposed < 0)
            m->a[k].exposed = m->s->ms;
        if (m->a[k].exposed >= 0 && m->a[k].told < m->a[k].since &&
            m->s->ms - m->a[k].exposed > WAIT + INTERVAL + SLACK)
            fail_msg("seed %llu: %s fires for %lld ms and was not told", (unsigned long long)m->seed,
                     m->a[k].name, (long long)(m->s->ms - m->a[k].exposed));
        if (m->s->nodes[0].hold)
            m->a[k].ended = m->s->ms;
        if (!m->a[k].firing && m->a[k].open && m->s->ms - m->a[k].ended > INTERVAL + SLACK)
            fail_msg("seed %llu: the end of %s was not told", (unsigned long long)m->seed, m->a[k].name);
    }
}

static void go(struct model *m, int64_t ms)
{
    while (ms > 0) {
        int64_t step = ms < 1000 ? ms : 1000;

        sim_run(m->s, step);
        check(m);
        ms -= step;
    }
}

static void toggle(struct model *m, int k)
{
    char labels[128];

    if (m->a[k].firing) {
        m->a[k].firing = false;
        m->a[k].ended = m->s->ms;
        sim_end(&m->s->nodes[0], m->a[k].name);
        return;
    }
    (void)snprintf(labels, sizeof labels, "alertname=A%d host=h%d team=t%d severity=error", k % 5, k / 4,
                   team(k));
    m->a[k].firing = true;
    m->a[k].since = m->s->ms;
    m->a[k].exposed = -1;
    sim_fire(&m->s->nodes[0], m->a[k].name, labels);
}

static void silence(struct model *m, struct rng *r)
{
    char match[16];
    int t = (int)rng_below(r, 4);
    int64_t length = 10000 + (int64_t)rng_below(r, 300000);
    struct act_order o = {.act = ACT_SILENCE_ADD, .who = "w", .reason = "r", .match = match};
    struct err e = {0};

    (void)snprintf(match, sizeof match, "team=t%d", t);
    o.to.ms = sim_wall(m->s).ms + length;
    assert_int_equal(
        sim_event(&m->s->nodes[0], (struct notify_event){.kind = NOTIFY_ACT, .act = &o}, NULL, &e), 0);
    if (m->s->ms + length > m->silenced_until[t])
        m->silenced_until[t] = m->s->ms + length;
}

/* The same configuration anew: nothing of the old one is looked at any more, and nobody notices. */
static void reload(struct sim *s)
{
    struct sim_node *node = &s->nodes[0];
    struct buf report;
    struct err e = {0};
    struct config *c;

    buf_init(&report, NULL, 1 << 16);
    c = sim_config(s, s->config, &report, &e);
    assert_non_null(c);
    assert_int_equal(notify_reload(node->n,
                                   &(struct notify_params){.config = c,
                                                           .zones = {sim_zone, s},
                                                           .mem = &node->mem,
                                                           .region = node->region,
                                                           .host = "host"},
                                   &report, &e),
                     0);
    config_free(&c);
    buf_free(&report);
}

static void event(struct model *m, struct rng *r)
{
    static const enum outcome outcomes[] = {OUTCOME_DELIVERED, OUTCOME_DELIVERED, OUTCOME_RETRY,
                                            OUTCOME_NEVER, OUTCOME_DENIED};
    struct sim_receiver *flaky = sim_receiver(m->s, "flaky");
    uint64_t what = rng_below(r, 100);

    if (what < 70)
        toggle(m, (int)rng_below(r, ALERTS));
    else if (what < 80) {
        flaky->outcome = outcomes[rng_below(r, 5)];
        flaky->silent = rng_below(r, 8) == 0;
        flaky->delay_ms = (int64_t)rng_below(r, 20000);
    } else if (what < 85)
        silence(m, r);
    else if (what < 90) {
        sim_answers(
            &m->s->nodes[0]); /* what the sound one has got is known: else its repetition would be right */
        sim_restart(&m->s->nodes[0]);
    } else if (what < 93)
        m->s->nodes[0].hold = !m->s->nodes[0].hold;
    else if (what < 96)
        reload(m->s);
    else if (what < 98)
        m->s->offset += (int64_t)rng_below(r, 4000) - 2000;
    go(m, rng_below(r, 3) ? (int64_t)rng_below(r, 15000) : (int64_t)rng_below(r, 150000));
}

static void run(uint64_t seed)
{
    static const char *const grouping[] = {"alertname", "host", "*", "alertname host"};
    struct model *m = calloc(1, sizeof *m);
    char config[2048];
    struct rng r;
    size_t peak;

    rng_seed(&r, seed);
    (void)snprintf(config, sizeof config, CONFIG, 0, grouping[seed % 4]);
    m->seed = seed;
    m->s = sim_new(config, "east", NULL);
    m->s->ms = 1000;
    m->s->offset = INT64_C(1772445600000);
    m->s->quiet = true;
    m->s->sent = on_sent;
    m->s->arg = m;
    for (int k = 0; k < ALERTS; k++) {
        struct fingerprint f;

        (void)snprintf(m->a[k].name, sizeof m->a[k].name, "N%d", k);
        f = sim_id(m->a[k].name);
        fingerprint_text(&f, m->a[k].hex);
        m->a[k].told = -1;
        m->a[k].exposed = -1;
    }
    sim_receiver(m->s, "dead")->outcome = OUTCOME_RETRY;
    sim_receiver(m->s, "sound")->delay_ms = 0;
    sim_start(&m->s->nodes[0]);
    for (int i = 0; i < EVENTS; i++)
        event(m, &r);
    peak = m->s->nodes[0].mem.peak;
    assert_true(peak < 4 << 20);
    m->s->nodes[0].hold = false;
    sim_receiver(m->s, "flaky")->outcome = OUTCOME_DELIVERED;
    sim_receiver(m->s, "flaky")->silent = false;
    sim_receiver(m->s, "dead")->outcome = OUTCOME_DELIVERED;
    for (int k = 0; k < ALERTS; k++) {
        if (m->a[k].firing)
            toggle(m, k);
    }
    go(m, 30 * 60 * 1000);
    sim_run(m->s, INT64_C(2) * 86400000);
    for (int k = 0; k < ALERTS; k++)
        assert_false(m->a[k].open);
    if (m->s->nodes[0].mem.used > 64 << 10)
        fail_msg("seed %llu: %zu bytes are kept when all is over", (unsigned long long)seed,
                 m->s->nodes[0].mem.used);
    sim_free(m->s);
    free(m);
}

static void test_random(void **state)
{
    unsigned long seeds = getenv("PROPS") ? strtoul(getenv("PROPS"), NULL, 10) : 12;

    (void)state;
    if (getenv("SEED")) /* one alone */
        run(strtoull(getenv("SEED"), NULL, 10));
    for (unsigned long i = 1; !getenv("SEED") && i <= seeds; i++)
        run(i);
}

/* ---- two aggregators, whose link and lives are random ---- */

enum { PAIR_ALERTS = 6 };

struct pair {
    struct sim *s;
    uint64_t seed;
    struct {
        char hex[33], name[16];
        bool firing, open;
        int64_t since, ended, told;
        uint32_t messages; /* of this firing */
    } a[PAIR_ALERTS];
    int64_t well; /* since when both live and hear each other; -1: they don't */
};

static void on_pair_sent(void *arg, struct sim_node *node, const char *receiver, const struct notification *n)
{
    struct pair *m = arg;

    (void)node;
    (void)receiver;
    for (uint32_t i = 0; i < n->n_alerts; i++) {
        for (int k = 0; k < PAIR_ALERTS; k++) {
            if (strcmp(m->a[k].hex, n->alerts[i].id) != 0)
                continue;
            m->a[k].open = n->alerts[i].firing;
            if (n->alerts[i].firing) {
                m->a[k].told = m->s->ms;
                m->a[k].messages++;
            }
        }
    }
}

/* Alone or together, somebody tells; while all is well, one does. */
static void check_pair(struct pair *m)
{
    const int64_t bound = WAIT + INTERVAL + 30000 + INTERVAL + SLACK + 15000;
    bool well = m->s->link && !m->s->nodes[0].down && !m->s->nodes[1].down;

    m->well = !well ? -1 : m->well < 0 ? m->s->ms : m->well;
    for (int k = 0; k < PAIR_ALERTS; k++) {
        if (m->a[k].firing && m->a[k].told < m->a[k].since && m->s->ms - m->a[k].since > bound)
            fail_msg("seed %llu: %s fires for %lld ms and neither told", (unsigned long long)m->seed,
                     m->a[k].name, (long long)(m->s->ms - m->a[k].since));
        if (!m->a[k].firing && m->a[k].open && m->s->ms - m->a[k].ended > bound && m->well >= 0 &&
            m->s->ms - m->well > bound)
            fail_msg("seed %llu: neither told the end of %s", (unsigned long long)m->seed, m->a[k].name);
        if (m->well >= 0 && m->well + 20000 < m->a[k].since && m->a[k].messages > 1 &&
            m->s->ms - m->a[k].since < REPEAT - 10000)
            fail_msg("seed %llu: both told %s", (unsigned long long)m->seed, m->a[k].name);
    }
}

static void pair_event(struct pair *m, struct rng *r)
{
    uint64_t what = rng_below(r, 100);
    struct sim_node *node = &m->s->nodes[rng_below(r, 2)];
    int k = (int)rng_below(r, PAIR_ALERTS);
    char labels[96];

    if (what < 60) {
        m->a[k].firing = !m->a[k].firing;
        m->a[k].messages = 0;
        *(m->a[k].firing ? &m->a[k].since : &m->a[k].ended) = m->s->ms;
        (void)snprintf(labels, sizeof labels, "alertname=P%d severity=error %s", k,
                       k % 3 == 0   ? "region=east"
                       : k % 3 == 1 ? "region=west"
                                    : "");
        for (unsigned i = 0; i < 2; i++) {
            if (m->a[k].firing)
                sim_fire(&m->s->nodes[i], m->a[k].name, labels);
            else
                sim_end(&m->s->nodes[i], m->a[k].name);
        }
    } else if (what < 75) {
        m->s->link = !m->s->link;
    } else if (what < 85 && node->down) {
        node->down = false;
        sim_answers(node);
        sim_restart(node);
    } else if (what < 85 && !m->s->nodes[0].down && !m->s->nodes[1].down) {
        node->down = true;
    } else if (!node->down) {
        sim_answers(node);
        sim_restart(node);
    }
    for (int64_t left = (int64_t)rng_below(r, 100000); left > 0; left -= 1000) {
        sim_run(m->s, 1000);
        check_pair(m);
    }
}

static void run_pair(uint64_t seed)
{
    struct pair *m = calloc(1, sizeof *m);
    struct rng r;

    rng_seed(&r, seed);
    m->seed = seed;
    m->s = sim_new("[receiver sound]\ntype = log\n[route all]\nreceivers = sound\nwait = 5s\ninterval = 1m\n"
                   "repeat = 1h\ngroup_by = alertname\n",
                   "east", "west");
    m->s->ms = 1000;
    m->s->offset = INT64_C(1772445600000);
    m->s->quiet = true;
    m->s->sent = on_pair_sent;
    m->s->arg = m;
    sim_receiver(m->s, "sound")->delay_ms = 0;
    for (int k = 0; k < PAIR_ALERTS; k++) {
        struct fingerprint f;

        (void)snprintf(m->a[k].name, sizeof m->a[k].name, "P%d", k);
        f = sim_id(m->a[k].name);
        fingerprint_text(&f, m->a[k].hex);
        m->a[k].told = -1;
    }
    sim_start(&m->s->nodes[0]);
    sim_start(&m->s->nodes[1]);
    for (int i = 0; i < EVENTS; i++)
        pair_event(m, &r);
    sim_free(m->s);
    free(m);
}

static void test_pair(void **state)
{
    unsigned long seeds = getenv("PROPS") ? strtoul(getenv("PROPS"), NULL, 10) : 8;

    (void)state;
    if (getenv("SEED"))
        run_pair(strtoull(getenv("SEED"), NULL, 10));
    for (unsigned long i = 1; !getenv("SEED") && i <= seeds; i++)
        run_pair(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_pair)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
