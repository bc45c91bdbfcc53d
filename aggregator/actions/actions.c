/* Actions as the configuration has them: one section for all types, its rows the union of the drivers' rows, and what has to
 * hold between them. Pure. */
#include "aggregator/actions/action.h"
#include "common/config/kinds.h"

#include <stdio.h>
#include <string.h>

const char action_section_name[] = "action";

static const struct option_row common[] = {
    {.key = "type",
     .type = OPT_CHOICE,
     .choices = action_drivers_types,
     .required = true,
     .reloadable = true,
     .sentence = "How it is done; it decides which of the other options count (docs/actions.md)."},
    {.key = "service",
     .type = OPT_STRING,
     .required = true,
     .reloadable = true,
     .sentence = "The [failover] section that it belongs to."},
    {.key = "step",
     .type = OPT_CHOICE,
     .choices = "fence catchup promote warm test switch validate tidy gate",
     .reloadable = true,
     .sentence = "When in a move it is done; it may be left out where the type can serve one step only."},
    {.key = "required",
     .type = OPT_BOOL,
     .dflt = "yes",
     .reloadable = true,
     .sentence = "Whether the move stops when it fails; no: its failure is told and the move goes on."},
    {.key = "timeout",
     .type = OPT_DURATION,
     .dflt = "10s",
     .reloadable = true,
     .min = INT64_C(100000000),
     .max = INT64_C(600000000000),
     .sentence = "Of one call; then its outcome counts as unknown, and is looked up before anything else."},
    {.key = "patience",
     .type = OPT_DURATION,
     .dflt = "2m",
     .reloadable = true,
     .min = INT64_C(1000000000),
     .max = INT64_C(3600000000000),
     .sentence = "Of the action with all its attempts."},
    {.key = "on",
     .type = OPT_LIST,
     .dflt = "failover switchover drill",
     .reloadable = true,
     .min = 1,
     .max = 3,
     .sentence = "The kinds of moves in which it is done."},
};
enum { COMMON = sizeof common / sizeof *common };

const struct action_driver *action_driver_find(const char *type)
{
    for (size_t i = 0; i < action_drivers_count; i++)
        if (strcmp(action_drivers[i]->type, type) == 0)
            return action_drivers[i];
    return NULL;
}

const struct action_driver *action_driver_of(const struct section *s)
{
    const char *type = option_text(s, "type");

    return type ? action_driver_find(type) : NULL;
}

size_t action_rows(struct option_row out[ACTION_ROWS])
{
    size_t n = 0;

    for (; n < COMMON; n++)
        out[n] = common[n];
    for (size_t i = 0; i < action_drivers_count; i++)
        n = rows_join(out, n, ACTION_ROWS, action_drivers[i]->rows, action_drivers[i]->n_rows);
    return n;
}

static enum plan_step step_by_name(const char *name)
{
    for (int i = 0; i < PLAN_STEPS; i++)
        if (strcmp(plan_step_name((enum plan_step)i), name) == 0)
            return (enum plan_step)i;
    return PLAN_STEPS;
}

int action_step_of(const struct section *s)
{
    const struct action_driver *d = action_driver_of(s);

    if (option_set(s, "step"))
        return (int)step_by_name(option_text(s, "step"));
    if (!d || !d->steps)
        return d ? PLAN_STEPS : -1;
    for (int i = 0; i < PLAN_STEPS; i++)
        if (d->steps == 1U << i)
            return i;
    return -1;
}

static bool said_of_each(const struct section *s, const struct action_driver *d, const char *key, bool all)
{
    return all && (!rows_have(d->rows, d->n_rows, key) || option_bool(s, key));
}

bool action_proves(const struct section *s)
{
    const struct action_driver *d = action_driver_of(s);

    return d && said_of_each(s, d, "proves", d->proves);
}

bool action_figures(const struct section *s)
{
    const struct action_driver *d = action_driver_of(s);

    return d && said_of_each(s, d, "figures", d->figures);
}

/* ---- checks ---- */

static int check_step(const struct section *s, const struct action_driver *d, struct buf *report,
                      struct err *e)
{
    int step = action_step_of(s);

    if (step < 0)
        return config_complain(report, s, NULL, e, "an action of type %s needs `step`", d->type);
    if (step == PLAN_STEPS)
        return d->steps && option_set(s, "step") && !(d->ops & 1U << ACTION_PRECHECK)
                   ? config_complain(report, s, "step", e, "an action of type %s is no gate", d->type)
                   : 0;
    if (!(d->steps & 1U << step))
        return config_complain(report, s, "step", e, "an action of type %s cannot serve the step %s", d->type,
                               plan_step_name((enum plan_step)step));
    return 0;
}

static int check_on(const struct section *s, struct buf *report, struct err *e)
{
    static const char *const kinds[] = {"failover", "switchover", "drill"};
    int rc = 0;

    for (size_t i = 0; i < option_count(s, "on"); i++) {
        const char *word = option_word(s, "on", i);
        bool known = false;

        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            known = known || strcmp(word, kinds[k]) == 0;
        if (!known)
            rc = config_complain(report, s, "on", e,
                                 "found \"%.40s\", expected failover, switchover or drill", word);
    }
    return rc;
}

static int check_one(const struct section *s, const struct action_driver *d, struct buf *report,
                     struct err *e)
{
    const struct kind kind = {"an action", d->type, d->rows, d->n_rows, d->required};
    struct option_row all[ACTION_ROWS];
    const char *key = NULL;
    struct err why = {0};
    int rc = check_step(s, d, report, e);

    if (check_on(s, report, e) != 0)
        rc = ERR_CONFIG;
    if (kind_check(s, &kind, all, COMMON, action_rows(all), report, e) != 0)
        rc = ERR_CONFIG;
    if (!rc && d->check && d->check(s, &key, &why) != 0)
        rc = config_complain(report, s, key, e, "%s", why.text);
    return rc;
}

int action_check(const struct config *c, struct buf *report, struct err *e)
{
    const struct section *s;
    int rc = 0;

    for (size_t i = 0; (s = config_named(c, action_section_name, i)); i++) {
        const struct action_driver *d = action_driver_of(s);

        if (!d)
            rc = config_complain(report, s, "type", e, "there is no such type");
        else if (check_one(s, d, report, e) != 0)
            rc = ERR_CONFIG;
    }
    return rc;
}

/* ---- values by region ---- */

const char *action_nth_by_region(const struct section *s, const char *key, const char *region, size_t i,
                                 char *out, size_t cap)
{
    size_t n = strlen(region);

    for (size_t k = 0; k < option_count(s, key); k++) {
        const char *word = option_word(s, key, k);

        if (strncmp(word, region, n) != 0 || word[n] != '=' || i-- > 0)
            continue;
        if (!word[n + 1] || strlen(word + n + 1) >= cap)
            return NULL;
        (void)snprintf(out, cap, "%s", word + n + 1);
        return out;
    }
    return NULL;
}

const char *action_by_region(const struct section *s, const char *key, const char *region, char *out,
                             size_t cap)
{
    return action_nth_by_region(s, key, region, 0, out, cap);
}

int action_regions_check(const struct section *s, const char *key, struct err *e)
{
    for (size_t k = 0; k < option_count(s, key); k++) {
        const char *word = option_word(s, key, k), *mark = strchr(word, '=');

        if (!mark || mark == word || !mark[1])
            return err_set(e, ERR_CONFIG, "found \"%.80s\", expected REGION=VALUE", word);
    }
    return 0;
}
