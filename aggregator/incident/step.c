/* What happens to incidents. The rows of the table, each with the line that it writes:
 *
 *  1 an alert of an opening severity fires, none of its group is open      open         opened
 *  2 the same, and one was resolved no longer than `reopen` ago            open         reopened
 *  3 an alert fires whose group has an open incident, within `window`      as it was    fired
 *  4 … and is graver than all before                                       as it was    severity
 *  5 an alert of the incident is over                                      as it was    cleared
 *  6 nothing fires for `resolve_after`                                     resolved     resolved
 *  7 a person acknowledges the incident or one of its alerts               acknowledged acknowledged
 *  8 a person resolves it                                                  resolved     resolved
 *  9 a note, a story of an alert, a change                                 as it was    note, …
 *
 * A suppressed alert joins, but opens nothing. */
#include <stdio.h>
#include <string.h>

#include "aggregator/incident/incident_private.h"

struct step {
    struct incidents *i;
    const struct incident_event *ev;
    const struct incident_effects *out;
    char *id;
    struct err *e;
};

static void named(const struct step *s, const struct incident *in)
{
    if (s->id)
        memcpy(s->id, in->id, sizeof in->id);
}

static bool groups_by(const struct incidents *i, const char *name)
{
    for (uint32_t k = 0; k < i->n_by; k++)
        if (strcmp(i->by[k], name) == 0)
            return true;
    return false;
}

/* An incident that was opened under another grouping has labels that are none of the present one. */
static bool same_group(const struct incidents *i, const struct incident *in, struct labels l)
{
    for (uint32_t k = 0; k < i->n_by; k++)
        if (strcmp(labels_get(in->group, i->by[k]), labels_get(l, i->by[k])) != 0)
            return false;
    for (uint32_t k = 0; k < in->group.n; k++)
        if (in->group.v[k].value[0] && !groups_by(i, in->group.v[k].name))
            return false;
    return true;
}

/* The newest incident that an alert with these labels belongs to: an open one, or one to be opened again. */
static struct incident *home(const struct step *s, struct labels l)
{
    struct incidents *i = s->i;
    struct incident *again = NULL;

    for (size_t k = i->n; k-- > 0;) {
        struct incident *in = i->v[k];

        if (!same_group(i, in, l))
            continue;
        if (incident_active(in)) {
            if (s->ev->now.ms - in->fired.ms <= span_to_ms(i->window))
                return in;
        } else if (!again && i->reopen.ns && s->ev->now.ms - in->resolved.ms <= span_to_ms(i->reopen)) {
            again = in;
        }
    }
    return again;
}

/* Copies the values of the grouping labels, in their order; absent ones as "". */
static bool take_group(struct incidents *i, struct incident *in, struct labels l)
{
    struct label *v = arena_array(&in->arena, i->n_by ? i->n_by : 1, sizeof *v);

    if (!v)
        return false;
    for (uint32_t k = 0; k < i->n_by; k++) {
        const char *value = labels_get(l, i->by[k]);

        v[k].name = arena_text(&in->arena, i->by[k], strlen(i->by[k]));
        v[k].value = arena_text(&in->arena, value, strlen(value));
        if (!v[k].name || !v[k].value)
            return false;
    }
    in->group = (struct labels){v, i->n_by};
    return true;
}

/* Room for one more: the oldest resolved one goes. False when all are open. */
static bool make_room(const struct step *s)
{
    struct incidents *i = s->i;

    if (i->n < INCIDENTS_MOST)
        return true;
    for (size_t k = 0; k < i->n; k++) {
        if (incident_active(i->v[k]))
            continue;
        incident_remove(i, i->v[k], s->out);
        i->count.dropped++;
        return true;
    }
    return false;
}

/* "20261124-0931-5f2c": the minute, and two bytes of the alert that opened it; then with its number, when that is taken. */
static void make_id(const struct incidents *i, const struct alert_notice *n, char id[32])
{
    char t[WALL_TEXT];

    (void)wall_text(n->t, t);
    (void)snprintf(id, 32, "%.4s%.2s%.2s-%.2s%.2s-%02x%02x", t, t + 5, t + 8, t + 11, t + 14, n->id.b[0],
                   n->id.b[1]);
    if (incident_find(i, id))
        (void)snprintf(id + 18, 14, "-%ld", i->next % 10000000000);
}

static void measure_detection(struct incidents *i, const struct alert_notice *n)
{
    i->count.detected++;
    if (n->since.ms && n->t.ms > n->since.ms)
        i->count.detect_s += (double)(n->t.ms - n->since.ms) / 1000;
}

static struct incident *open_one(const struct step *s, const struct alert_notice *n)
{
    struct incidents *i = s->i;
    struct incident *in = NULL;
    char id[32] = "";

    if (make_room(s)) {
        make_id(i, n, id);
        in = incident_add(i, id, s->e);
    }
    if (in && !take_group(i, in, n->labels)) {
        incident_remove(i, in, NULL);
        in = NULL;
    }
    if (!in) {
        i->count.refused++;
        err_set(s->e, ERR_NOMEM, "no room for an incident of alert %.64s: %zu are kept", n->rule, i->n);
        return NULL;
    }
    in->headed = true;
    in->number = i->next;
    incident_place(i, in);
    in->severity = n->severity;
    in->opened = n->t;
    in->began = n->since.ms ? n->since : n->t;
    in->data = n->data;
    incident_copy(in->title, sizeof in->title, n->summary && n->summary[0] ? n->summary : n->rule);
    i->count.opened++;
    measure_detection(i, n);
    incident_changes_before(i, in, s->out);
    return in;
}

static void reopen(const struct step *s, struct incident *in, const struct member *m)
{
    char length[32];

    incident_line(s->i, in, &(struct line){.kind = "reopened", .alert = m, .t = s->ev->now}, s->out,
                  "opened again %s after it was resolved: %s fired",
                  incident_for(in->resolved, s->ev->now, length), m->rule);
    in->state = in->acknowledged.ms ? INCIDENT_ACKNOWLEDGED : INCIDENT_OPEN;
    in->resolved.ms = 0;
    in->resolver[0] = in->reason[0] = 0;
    in->reopened++;
    s->i->count.reopened++;
}

static struct member *take_member(const struct step *s, struct incident *in, const struct alert_notice *n)
{
    struct member *m = member_find(s->i, &n->id);
    struct buf text;

    if (m && m->in == in)
        return m;
    if (in->n_alerts >= MEMBERS_MOST)
        return NULL;
    buf_init(&text, s->i->mem, 4 * TEXT_MOST);
    labels_text(n->labels, &text);
    m = member_add(s->i, in, &n->id, n->rule, buf_text(&text), n->summary ? n->summary : "",
                   n->runbook ? n->runbook : "");
    buf_free(&text);
    if (m)
        in->n_alerts++;
    return m;
}

static void fires(struct incident *in, struct member *m, const struct alert_notice *n)
{
    in->n_firing += !m->firing;
    m->firing = true;
    m->suppressed = n->suppressed;
    m->epoch = n->epoch;
    m->severity = n->severity;
    m->since = n->since;
    m->data = n->data;
    m->at = n->t;
    m->cleared.ms = 0;
    m->acknowledged = false;
    m->value = n->value;
    m->threshold = n->threshold;
    m->fired++;
    in->fired = n->t;
    if (n->since.ms && n->since.ms < in->began.ms)
        in->began = n->since;
}

static void told_of_firing(const struct step *s, struct incident *in, const struct member *m, bool opened,
                           bool graver)
{
    const struct alert_notice *n = s->ev->notice;
    struct line l = {.kind = opened ? "opened" : "fired", .alert = m, .t = n->t, .by_alert = !opened};

    incident_line(s->i, in, &l, s->out, "%s fired (%s%s): %s", m->rule, severity_name(m->severity),
                  m->suppressed ? ", suppressed" : "", m->summary[0] ? m->summary : m->labels);
    if (graver && !opened) {
        l = (struct line){.kind = "severity", .alert = m, .t = n->t};
        incident_line(s->i, in, &l, s->out, "severity raised to %s by %s", severity_name(m->severity),
                      m->rule);
    }
}

static int fired(const struct step *s)
{
    const struct alert_notice *n = s->ev->notice;
    struct member *m = member_find(s->i, &n->id);
    struct incident *in = m && incident_active(m->in) ? m->in : home(s, n->labels);
    bool opened, graver;

    if (m && m->in == in && m->firing && m->epoch == n->epoch)
        return 0; /* told again */
    opened = !in;
    if ((opened || !incident_active(in)) && (n->suppressed || !s->i->opens[n->severity]))
        return 0;
    if (opened && !(in = open_one(s, n)))
        return s->e ? s->e->code : ERR_NOMEM;
    m = take_member(s, in, n);
    named(s, in);
    if (!m) {
        in->untracked++;
        s->i->count.untracked++;
        in->fired = n->t;
        incident_record(in, s->out);
        return 0;
    }
    fires(in, m, n);
    if (!incident_active(in))
        reopen(s, in, m);
    graver = n->severity > in->severity;
    if (graver)
        in->severity = n->severity;
    told_of_firing(s, in, m, opened, graver);
    member_record(m, s->out);
    incident_record(in, s->out);
    return 0;
}

static int cleared(const struct step *s)
{
    const struct alert_notice *n = s->ev->notice;
    struct member *m = member_find(s->i, &n->id);
    char length[32];

    if (!m || !m->firing)
        return 0;
    m->firing = false;
    m->cleared = n->t;
    m->in->n_firing -= m->in->n_firing > 0;
    m->in->cleared = n->t;
    named(s, m->in);
    incident_line(s->i, m->in, &(struct line){.kind = "cleared", .alert = m, .t = n->t, .by_alert = true},
                  s->out, "%s is over after %s%s%s", m->rule, incident_for(m->at, n->t, length),
                  n->reason && n->reason[0] ? ": " : "", n->reason ? n->reason : "");
    member_record(m, s->out);
    incident_record(m->in, s->out);
    return 0;
}

static int notice(const struct step *s)
{
    enum alert_state to = s->ev->notice->to;

    if (to == ALERT_FIRING)
        return fired(s);
    /* clearing is firing still */
    return to == ALERT_INACTIVE || to == ALERT_PENDING ? cleared(s) : 0;
}

static void resolve(const struct step *s, struct incident *in, struct wall t)
{
    in->state = INCIDENT_RESOLVED;
    in->resolved = t;
    s->i->count.resolved++;
    s->i->count.resolve_s += t.ms > in->opened.ms ? (double)(t.ms - in->opened.ms) / 1000 : 0;
    incident_compact(s->i, in, s->out);
    incident_record(in, s->out);
}

static struct wall quiet_since(const struct incident *in)
{
    return in->cleared.ms > in->fired.ms ? in->cleared : in->fired;
}

/* Walks backwards: what is removed shifts what was seen already. */
static void tick(const struct step *s)
{
    struct incidents *i = s->i;
    struct wall now = s->ev->now;
    char length[32];

    for (size_t k = i->n; k-- > 0;) {
        struct incident *in = i->v[k];

        if (!in->headed) { /* members of an incident whose own record was lost */
            i->count.damaged++;
            incident_remove(i, in, s->out);
        } else if (!incident_active(in)) {
            if (now.ms - in->resolved.ms > span_to_ms(i->keep))
                incident_remove(i, in, s->out);
        } else if (!in->n_firing && now.ms - quiet_since(in).ms >= span_to_ms(i->resolve_after)) {
            incident_line(i, in, &(struct line){.kind = "resolved", .t = now}, s->out,
                          "resolved by itself: none of its alerts has fired for %s",
                          incident_for(quiet_since(in), now, length));
            incident_copy(in->reason, sizeof in->reason, "none of its alerts fires");
            resolve(s, in, now);
        }
    }
}

static int wanted(const struct step *s, struct incident **in)
{
    const char *id = s->ev->incident ? s->ev->incident : "";

    *in = incident_find(s->i, id);
    if (!*in)
        return err_set(s->e, ERR_NOTFOUND, "there is no incident \"%.40s\"", id);
    named(s, *in);
    return 0;
}

static void take_charge(const struct step *s, struct incident *in)
{
    const char *who = s->ev->who ? s->ev->who : "";

    if (!in->acknowledged.ms) {
        in->acknowledged = s->ev->now;
        s->i->count.acknowledged++;
        s->i->count.acknowledge_s +=
            s->ev->now.ms > in->opened.ms ? (double)(s->ev->now.ms - in->opened.ms) / 1000 : 0;
    }
    in->state = INCIDENT_ACKNOWLEDGED;
    incident_copy(in->owner, sizeof in->owner, who);
}

static const char *because(const char *text)
{
    return text && text[0] ? ": " : "";
}

/* Of one alert: the incident has an owner then, too. */
static int acknowledge_alert(const struct step *s)
{
    const char *text = s->ev->text ? s->ev->text : "", *who = s->ev->who ? s->ev->who : "";
    struct member *m = member_find(s->i, s->ev->alert);

    if (!m || !incident_active(m->in))
        return 0; /* an alert without an incident */
    named(s, m->in);
    m->acknowledged = true;
    incident_line(s->i, m->in,
                  &(struct line){"acknowledged", who, m, s->ev->now, m->in->acknowledged.ms != 0}, s->out,
                  "%s acknowledged %s%s%s", who, m->rule, because(text), text);
    if (m->in->state == INCIDENT_OPEN)
        take_charge(s, m->in);
    member_record(m, s->out);
    incident_record(m->in, s->out);
    return 0;
}

static int acknowledge(const struct step *s)
{
    const char *text = s->ev->text ? s->ev->text : "", *who = s->ev->who ? s->ev->who : "";
    struct incident *in;

    if (!s->ev->incident && s->ev->alert)
        return acknowledge_alert(s);
    if (wanted(s, &in) < 0)
        return ERR_NOTFOUND;
    if (!incident_active(in))
        return err_set(s->e, ERR_STATE, "incident %s is resolved", in->id);
    take_charge(s, in);
    incident_line(s->i, in, &(struct line){.kind = "acknowledged", .who = who, .t = s->ev->now}, s->out,
                  "%s acknowledged the incident%s%s", who, because(text), text);
    for (struct member *m = in->members; m; m = m->next) {
        if (!m->firing || m->acknowledged)
            continue;
        m->acknowledged = true;
        member_record(m, s->out);
        if (s->out->acknowledged)
            s->out->acknowledged(s->out->arg, &m->id, who, text);
    }
    incident_record(in, s->out);
    return 0;
}

static int resolve_by_hand(const struct step *s)
{
    const char *text = s->ev->text ? s->ev->text : "", *who = s->ev->who ? s->ev->who : "";
    char still[64] = "";
    struct incident *in;

    if (wanted(s, &in) < 0)
        return ERR_NOTFOUND;
    if (!incident_active(in))
        return err_set(s->e, ERR_STATE, "incident %s is resolved already", in->id);
    if (in->n_firing)
        (void)snprintf(still, sizeof still, " while %u alert%s fired still", in->n_firing,
                       in->n_firing > 1 ? "s" : "");
    incident_line(s->i, in, &(struct line){.kind = "resolved", .who = who, .t = s->ev->now}, s->out,
                  "%s resolved it%s%s%s", who, still, because(text), text);
    incident_copy(in->resolver, sizeof in->resolver, who);
    incident_copy(in->reason, sizeof in->reason, text);
    resolve(s, in, s->ev->now);
    return 0;
}

static int note(const struct step *s)
{
    struct incident *in;

    if (wanted(s, &in) < 0)
        return ERR_NOTFOUND;
    if (!s->ev->text || !s->ev->text[0])
        return err_set(s->e, ERR_MALFORMED, "a note without a word");
    in->notes++;
    incident_line(s->i, in, &(struct line){.kind = "note", .who = s->ev->who, .t = s->ev->now}, s->out, "%s",
                  s->ev->text);
    incident_record(in, s->out);
    return 0;
}

/* Of an alert that has no incident there is nothing to tell here. */
static int story(const struct step *s)
{
    const struct member *m = s->ev->alert ? member_find(s->i, s->ev->alert) : NULL;

    if (!m)
        return 0;
    named(s, m->in);
    incident_line(
        s->i, m->in,
        &(struct line){s->ev->story_kind ? s->ev->story_kind : "story", s->ev->who, m, s->ev->now, true},
        s->out, "%s", s->ev->text ? s->ev->text : "");
    incident_record(m->in, s->out);
    return 0;
}

int incidents_step(struct incidents *i, const struct incident_event *ev, const struct incident_effects *out,
                   char id[32], struct err *e)
{
    struct step s = {i, ev, out, id, e};

    if (id)
        id[0] = 0;
    switch (ev->kind) {
    case INCIDENT_TICK: tick(&s); return 0;
    case INCIDENT_NOTICE: return notice(&s);
    case INCIDENT_STORY: return story(&s);
    case INCIDENT_ACK: return acknowledge(&s);
    case INCIDENT_RESOLVE: return resolve_by_hand(&s);
    case INCIDENT_NOTE: return note(&s);
    case INCIDENT_CHANGE: incident_change(i, ev, out); return 0;
    }
    return err_set(e, ERR_UNSUPPORTED, "an event of kind %d", ev->kind);
}
