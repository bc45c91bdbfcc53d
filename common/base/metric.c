/* Label names of metric rows: see metric.h. */
#include "common/base/metric.h"

size_t metric_label_count(const struct metric_row *row)
{
    size_t n = row->labels && *row->labels ? 1 : 0;

    for (const char *p = row->labels; p && *p; p++)
        n += *p == ' ';
    return n;
}

struct text metric_label_name(const struct metric_row *row, size_t i)
{
    const char *p = row->labels ? row->labels : "";

    for (; i && *p; p++)
        i -= *p == ' ';
    return (struct text){p, i ? 0 : (uint32_t)strcspn(p, " ")};
}
