/* A stranger's bytes where another aggregator's word on failover is expected. What is taken can be said again and is heard
 * the same, and a vote out of it keeps to its bounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/failover/word.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static void again(const struct fo_word *w)
{
    struct fo_word *back = malloc(sizeof *back);
    cJSON *o = cJSON_CreateObject();

    must(back && o, "memory");
    fo_word_write(w, o);
    must(fo_word_read(o, back, NULL) == 0, "our own word is not taken");
    must(memcmp(w, back, sizeof *w) == 0, "a word that was said again is another one");
    cJSON_Delete(o);
    free(back);
}

static void votes(const struct fo_word *w)
{
    static const struct fo_names names = {.region = {"us-east-1", "us-west-2"},
                                          .voter = {"east", "west", "witness"}};

    for (uint8_t i = 0; i < w->n; i++) {
        struct fo_vote v;

        if (!fo_word_get_vote(w, &w->service[i], &names, 2, 3, &v))
            continue;
        must(v.voter < 3 && v.tick_ms > 0 && (v.gray & ~3) == 0, "a vote out of bounds");
        for (int r = 0; r < FO_REGIONS; r++)
            must(v.verdict[r] <= (r < 2 ? FO_DOWN : 0) && v.users[r] <= FO_USERS_BAD && v.classes[r] < 64 &&
                     (v.self_ok || !v.verdict[r]),
                 "a verdict out of bounds");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fo_word *w = malloc(sizeof *w);
    cJSON *o = cJSON_ParseWithLength((const char *)data, size);

    must(w != NULL, "memory");
    if (fo_word_read(o, w, NULL) == 0 && *w->voter) {
        again(w);
        votes(w);
    }
    cJSON_Delete(o);
    free(w);
    return 0;
}
