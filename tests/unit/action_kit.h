/* For tests of actions: a configuration of [action NAME] sections from an ini text. */
#ifndef SB_TESTS_ACTION_KIT_H
#define SB_TESTS_ACTION_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "aggregator/actions/action.h"

struct akit {
    struct option_row rows[ACTION_ROWS];
    struct section_row section;
    struct buf report;
    struct err e;
    struct config *config;
};

static inline void akit_parse(struct akit *k, const char *ini)
{
    struct config_source src = {"actions.ini", {(const uint8_t *)ini, strlen(ini)}};

    memset(k, 0, sizeof *k);
    buf_init(&k->report, NULL, 65536);
    k->section = (struct section_row){.name = action_section_name,
                                      .named = true,
                                      .sentence = "An action.",
                                      .rows = k->rows,
                                      .n_rows = action_rows(k->rows)};
    k->config = config_parse(&src, 1, &k->section, 1, &k->report, &k->e);
    if (!k->config)
        fail_msg("%s", buf_text(&k->report));
}

static inline void akit_close(struct akit *k)
{
    config_free(&k->config);
    buf_free(&k->report);
}

/* A script in the scratch folder; its absolute path. */
static inline const char *akit_script(const char *name, const char *text, char path[512])
{
    FILE *f;

    assert_non_null(getcwd(path, 400));
    snprintf(path + strlen(path), 100, "/%s", name);
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", text);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0755), 0);
    return path;
}

static inline struct action_order akit_order(enum action_op op)
{
    return (struct action_order){.op = op,
                                 .service = "app",
                                 .from = "east",
                                 .to = "west",
                                 .plan = "p-7",
                                 .epoch = 7,
                                 .token = {1, 100},
                                 .key = "app/7/a",
                                 .deadline = span_s(20),
                                 .now = {INT64_C(1795500000000)}};
}

#endif
