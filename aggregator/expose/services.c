/* See services.h. */
#include "aggregator/expose/services.h"

#include <string.h>

static const char *label(const struct sample *x, const char *name)
{
    for (size_t i = 0; i < metric_label_count(x->row); i++) {
        struct text t = metric_label_name(x->row, i);

        if (t.n == strlen(name) && memcmp(t.p, name, t.n) == 0)
            return x->labels[i].n ? x->labels[i].p : "";
    }
    return "";
}

static struct service_line *line_of(struct service_line *v, size_t *n, const char *service)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(v[i].service, service) == 0)
            return &v[i];
    }
    if (*n == SERVICES_MOST)
        return NULL;
    v[*n] = (struct service_line){.service = service, .state = "", .active = "", .writer = ""};
    return &v[(*n)++];
}

size_t services_of(const struct view *v, struct service_line out[SERVICES_MOST])
{
    size_t n = 0;

    for (size_t i = 0; i < v->n_self; i++) {
        const struct sample *x = &v->self[i];
        const char *name = x->row->name;
        bool state = strcmp(name, "securebase_failover_state") == 0;
        bool active = strcmp(name, "securebase_failover_active") == 0;
        bool writer = strcmp(name, "securebase_failover_writer") == 0;
        bool leading = strcmp(name, "securebase_failover_leading") == 0;
        struct service_line *l;

        if (!(state || active || writer || leading) || x->sketch || !(x->value > 0) ||
            !(l = line_of(out, &n, label(x, "service"))))
            continue;
        if (state)
            l->state = label(x, "state");
        else if (active)
            l->active = label(x, "region");
        else if (writer)
            l->writer = label(x, "region");
        else
            l->leading = true;
    }
    return n;
}
