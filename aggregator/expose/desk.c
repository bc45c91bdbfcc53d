/* What belongs to the desk: see desk.h. */
#include "aggregator/expose/desk.h"

#include <string.h>

bool desk_has(const char *path)
{
    static const char *const resources[] = {"slos",      "alerts",  "rules",    "silences", "maintenance",
                                            "incidents", "events",  "rotas",    "routes",   "receivers",
                                            "history",   "regions", "failover", "drills"};
    size_t n = strcspn(path, "/");

    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        if (strlen(resources[i]) == n && strncmp(resources[i], path, n) == 0)
            return true;
    }
    return false;
}
