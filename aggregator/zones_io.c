/* See zones.h. Zone data that is replaced on disk counts from the next start on: a rota does not move by itself. */
#include "aggregator/zones.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct known {
    struct known *next;
    struct zone *zone;
};

struct zones {
    pthread_mutex_t lock;
    struct known *first;
};

struct zones *zones_new(void)
{
    struct zones *z = calloc(1, sizeof *z);

    if (z)
        (void)pthread_mutex_init(&z->lock, NULL);
    return z;
}

void zones_free(struct zones **zp)
{
    struct zones *z = *zp;

    if (!z)
        return;
    while (z->first) {
        struct known *k = z->first;

        z->first = k->next;
        zone_free(&k->zone);
        free(k);
    }
    (void)pthread_mutex_destroy(&z->lock);
    free(z);
    *zp = NULL;
}

static const struct zone *find(struct zones *z, const char *name)
{
    struct err e = {0};
    struct known *k;

    for (k = z->first; k; k = k->next) {
        if (strcmp(zone_name(k->zone), name) == 0)
            return k->zone;
    }
    k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->zone = zone_load(name, &e);
    if (!k->zone) {
        free(k);
        return NULL;
    }
    k->next = z->first;
    z->first = k;
    return k->zone;
}

const struct zone *zones_find(void *arg, const char *name)
{
    struct zones *z = arg;
    const struct zone *found;

    (void)pthread_mutex_lock(&z->lock);
    found = find(z, name);
    (void)pthread_mutex_unlock(&z->lock);
    return found;
}
