/* Objectives on virtual time, for tests in other languages. The configuration is the first argument, a file; commands
 * come by standard input, times in milliseconds of the wall clock:
 *
 *   c T METRIC LABELS INCREASE     a counter grew ("a=b,c=d", or - for none), in the step of T
 *   s T                            a step
 *   r                              a restart: a new process, from the records that were told
 *   p                              prints the burns: a JSON object a line with t, and by objective the windows' good, total,
 *                                  burn (null: no data), and the budget that remains
 *   l                              prints the ledger's lines so far, and forgets them */
#include <inttypes.h>

#include "tests/unit/slo_kit.h"

enum { LINE = 1024 };

static void put_number(cJSON *o, const char *key, double v)
{
    if (isnan(v))
        cJSON_AddNullToObject(o, key);
    else
        cJSON_AddNumberToObject(o, key, v);
}

static void print(cJSON *o)
{
    char *text = cJSON_PrintUnformatted(o);

    puts(text);
    cJSON_free(text);
    cJSON_Delete(o);
}

static void print_burns(const struct kit *k)
{
    uint32_t n;
    const struct burn_fact *b = slos_burns(k->slos, &n);
    cJSON *root = cJSON_CreateObject();

    cJSON_AddNumberToObject(root, "t", (double)k->now);
    for (uint32_t i = 0; i < n; i++) {
        cJSON *o = cJSON_AddObjectToObject(root, b[i].slo), *list = cJSON_AddArrayToObject(o, "windows");

        put_number(o, "remaining", b[i].remaining);
        for (unsigned w = 0; w < BURN_WINDOWS; w++) {
            cJSON *x = cJSON_CreateObject();

            cJSON_AddNumberToObject(x, "good", (double)b[i].w[w].good);
            cJSON_AddNumberToObject(x, "total", (double)b[i].w[w].total);
            put_number(x, "burn", b[i].w[w].burn);
            cJSON_AddItemToArray(list, x);
        }
    }
    print(root);
}

static void print_ledger(struct kit *k)
{
    cJSON *x;

    while ((x = cJSON_DetachItemFromArray(k->ledger, 0)))
        print(x);
}

static int count(struct kit *k, const char *line)
{
    char metric[256], labels[512];
    int64_t t;
    double increase;

    if (sscanf(line, "c %" SCNd64 " %255s %511s %lf", &t, metric, labels, &increase) != 4)
        return -1;
    for (char *p = labels; (p = strchr(p, ','));)
        *p = ' ';
    kit_count(k, metric, strcmp(labels, "-") ? labels : "", t, increase);
    return 0;
}

static int command(struct kit *k, const char *line)
{
    int64_t t;

    switch (*line) {
    case 'c': return count(k, line);
    case 's':
        if (sscanf(line, "s %" SCNd64, &t) != 1)
            return -1;
        kit_step(k, t);
        return 0;
    case 'r': kit_restart(k, true); return 0;
    case 'p': print_burns(k); return 0;
    case 'l': print_ledger(k); return 0;
    default: return -1;
    }
}

static char *read_file(const char *path)
{
    char *text = calloc(1, 1 << 20);
    FILE *f = fopen(path, "r");

    if (!f || !text || fread(text, 1, (1 << 20) - 1, f) == 0) {
        perror(path);
        exit(2);
    }
    (void)fclose(f);
    return text;
}

int main(int argc, char **argv)
{
    char line[LINE], *text;
    struct kit k;
    int64_t begin;

    if (argc != 3) {
        (void)fprintf(stderr, "usage: slo_tool FILE.ini BEGIN < commands\n");
        return 2;
    }
    text = read_file(argv[1]);
    begin = strtoll(argv[2], NULL, 10);
    kit_open(&k, text, begin);
    while (fgets(line, sizeof line, stdin)) {
        if (command(&k, line) != 0) {
            (void)fprintf(stderr, "slo_tool: not understood: %s", line);
            return 1;
        }
    }
    kit_close(&k);
    free(text);
    return 0;
}
