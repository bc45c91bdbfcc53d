/* Options of all drivers that change a record of a zone; equal keys have equal rows. */
#ifndef SB_ACTIONS_DNS_ROWS_H
#define SB_ACTIONS_DNS_ROWS_H

#include "aggregator/actions/action.h"

enum { DNS_VALUES = 64, DNS_SERVERS = 16 }; /* words of `values`; servers that are asked */

#define ACTION_ROWS_RECORD                                                                                   \
    {.key = "zone",                                                                                          \
     .type = OPT_STRING,                                                                                     \
     .dflt = "",                                                                                             \
     .reloadable = true,                                                                                     \
     .sentence = "The zone that holds the record: its name; of route53 the hosted zone's id."},              \
        {.key = "name",                                                                                      \
         .type = OPT_STRING,                                                                                 \
         .dflt = "",                                                                                         \
         .reloadable = true,                                                                                 \
         .sentence = "The full name whose record moves, such as app.example.com."},                          \
        {.key = "record",                                                                                    \
         .type = OPT_CHOICE,                                                                                 \
         .choices = "A AAAA CNAME",                                                                          \
         .dflt = "A",                                                                                        \
         .reloadable = true,                                                                                 \
         .sentence = "The record's type."},                                                                  \
        {.key = "values",                                                                                    \
         .type = OPT_LIST,                                                                                   \
         .dflt = "",                                                                                         \
         .reloadable = true,                                                                                 \
         .max = DNS_VALUES,                                                                                  \
         .sentence = "REGION=VALUE for each region: where the name points to while that region is active; "  \
                     "several words of one region are several records."},                                    \
        {.key = "ttl",                                                                                       \
         .type = OPT_DURATION,                                                                               \
         .dflt = "30s",                                                                                      \
         .reloadable = true,                                                                                 \
         .min = INT64_C(1000000000),                                                                         \
         .max = INT64_C(3600000000000),                                                                      \
         .sentence = "Time to live that is written."},                                                       \
    {                                                                                                        \
        .key = "ttl_most", .type = OPT_DURATION, .dflt = "60s", .reloadable = true,                          \
        .min = INT64_C(1000000000), .max = INT64_C(86400000000000),                                          \
        .sentence = "A record that is found with a longer time to live is a blocker: clients would keep "    \
                    "the dead address for so long."                                                          \
    }
#define ACTION_ROW_TOKEN_NAME                                                                                \
    {                                                                                                        \
        .key = "token_name", .type = OPT_STRING, .dflt = "", .reloadable = true,                             \
        .sentence = "Name of the TXT record that carries epoch and token of the last move; empty: _fo. "     \
                    "before the name."                                                                       \
    }
#define ACTION_ROW_AGREE                                                                                     \
    {                                                                                                        \
        .key = "agree", .type = OPT_LIST, .dflt = "", .reloadable = true, .max = DNS_SERVERS,                \
        .sentence =                                                                                          \
            "Name servers of the zone, ADDRESS or ADDRESS:PORT, that have to show the change before "        \
            "it counts as done."                                                                             \
    }
#define ACTION_RECORD_REQUIRED "zone name values"

#endif
