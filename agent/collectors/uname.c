/* What system this is, from uname(2): the series from which the usual dashboards take their list of hosts. */
#include "agent/collector.h"

/* Sorted label names, and where each stands in the answer. */
static const struct metric_row rows[] = {
    {"node_uname_info", METRIC_GAUGE, 1, 1, "domainname machine nodename release sysname version",
     "Always 1: the labels are what uname tells of the system."},
};
static const unsigned char order[6] = {5, 4, 1, 2, 0, 3};

static size_t uname_jobs(void *state, const struct bytes *files, struct call_job *jobs, size_t max)
{
    (void)state;
    (void)files;
    if (max)
        jobs[0] = (struct call_job){.kind = CALL_UNAME};
    return 1;
}

static int uname_called(void *state, const struct tick *t, const struct call_job *jobs,
                        const struct call_answer *answers, size_t n, struct sink *out, struct err *e)
{
    struct text labels[6];

    (void)state;
    (void)t;
    (void)jobs;
    if (n != 1 || answers[0].code)
        return err_sys(e, ERR_IO, n ? answers[0].code : 0, "uname");
    for (size_t i = 0; i < 6; i++) {
        const char *s = answers[0].text[order[i]];

        labels[i] = (struct text){s, (uint32_t)strnlen(s, sizeof answers[0].text[0])};
    }
    sink_int(out, &rows[0], labels, 1);
    return 0;
}

static const char *const files[] = {NULL};

const struct collector collector_uname = {
    .name = "uname",
    .summary = "Kernel, architecture and node name, from uname(2).",
    .shape = COLLECTOR_CALL,
    .enabled = true,
    .interval = "10s",
    .rows = rows,
    .n_rows = 1,
    .files = files,
    .jobs = uname_jobs,
    .called = uname_called,
};
