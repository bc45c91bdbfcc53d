/* Events, read. They come raw out of wire_batch_decode because they are judged after the definitions. */
#include "common/wire/text.h"

enum { E_KIND, E_LABELS, E_NAME, E_T, E_TEXT, E_COUNT };

static int read_event(struct reader *r, struct arena *a, struct wire_event *ev, enum wire_reason *reason,
                      struct err *e)
{
    struct field f[E_COUNT] = {
        [E_KIND] = FIELD("kind"), [E_LABELS] = FIELD("labels"), [E_NAME] = FIELD("name"),
        [E_T] = FIELD("t"),       [E_TEXT] = FIELD("text"),
    };

    if (!fields_read(r, f, E_COUNT) || !field_int(&f[E_T], &ev->t) || !field_str(&f[E_KIND], &ev->kind) ||
        !field_str(&f[E_NAME], &ev->name) || !field_str(&f[E_TEXT], &ev->text) || !f[E_LABELS].at.p)
        return wire_fail(reason, WIRE_EVENT, e, ERR_MALFORMED,
                         "a key of an event is missing or of a wrong type");
    if (!wire_event_kind_ok(ev->kind))
        return wire_fail(reason, WIRE_EVENT, e, ERR_MALFORMED, "\"%.*s\" is no kind of event",
                         WIRE_SHOW(ev->kind));
    if (ev->name.n > WIRE_MAX_EVENT_NAME || ev->text.n > WIRE_MAX_EVENT_TEXT)
        return wire_fail(reason, WIRE_LIMIT, e, ERR_LIMIT,
                         "an event has a name of %u and a text of %u bytes; at most %d and %d are allowed",
                         ev->name.n, ev->text.n, WIRE_MAX_EVENT_NAME, WIRE_MAX_EVENT_TEXT);
    return wire_labels_read(&f[E_LABELS].at, a, &ev->labels, &ev->n_labels, WIRE_EVENT, reason, e);
}

int wire_events_decode(struct bytes raw, struct arena *a, struct wire_event **out, uint32_t *n,
                       enum wire_reason *reason, struct err *e)
{
    struct reader r = {raw.p, raw.p ? raw.p + raw.n : NULL};
    struct wire_event *list;
    struct tok t;

    *out = NULL;
    *n = 0;
    if (!raw.p)
        return 0;
    if (!tok_next(&r, &t) || t.type != TOK_ARRAY)
        return wire_fail(reason, WIRE_EVENT, e, ERR_MALFORMED, "events are no array");
    if (t.n > WIRE_MAX_EVENTS)
        return wire_fail(reason, WIRE_LIMIT, e, ERR_LIMIT, "%u events; at most %d are allowed", t.n,
                         WIRE_MAX_EVENTS);
    list = arena_array(a, t.n, sizeof *list);
    if (!list)
        return wire_no_memory(reason, e);
    for (uint32_t i = 0; i < t.n; i++) {
        int rc = read_event(&r, a, &list[i], reason, e);

        if (rc) {
            (void)err_prefix(e, "event %u", i + 1);
            return rc;
        }
    }
    *out = list;
    *n = t.n;
    return 0;
}
