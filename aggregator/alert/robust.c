/* Medians, and the line of Theil and Sen (Sen, "Estimates of the regression coefficient based on Kendall's
 * tau", 1968): up to 29 % of the points may be anything without moving it far. */
#include <math.h>

#include "aggregator/alert/statistics.h"

/* Hoare's selection: v[k] is what it would be if v were sorted, and nothing before it is larger. */
static double select_kth(double *v, uint32_t n, uint32_t k)
{
    uint32_t low = 0, high = n - 1;

    while (low < high) {
        double pivot = v[low + (high - low) / 2];
        uint32_t i = low, j = high;

        for (;;) {
            double x;

            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i >= j)
                break;
            x = v[i];
            v[i++] = v[j];
            v[j--] = x;
        }
        if (k <= j)
            high = j;
        else
            low = j + 1;
    }
    return v[k];
}

double median_of(double *v, uint32_t n)
{
    double high = select_kth(v, n, n / 2), low;

    if (n % 2)
        return high;
    low = v[0];
    for (uint32_t i = 1; i < n / 2; i++)
        low = v[i] > low ? v[i] : low;
    return low + (high - low) / 2;
}

struct line line_through(const double *x, const double *y, uint32_t n)
{
    double slopes[LINE_POINTS * (LINE_POINTS - 1) / 2], rest[LINE_POINTS];
    struct line l = {0};
    uint32_t k = 0;

    n = n > LINE_POINTS ? LINE_POINTS : n;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = i + 1; j < n; j++) {
            if (x[j] > x[i])
                slopes[k++] = (y[j] - y[i]) / (x[j] - x[i]);
        }
    }
    l.slope = k ? median_of(slopes, k) : 0;
    for (uint32_t i = 0; i < n; i++)
        rest[i] = y[i] - l.slope * x[i];
    l.at_zero = n ? median_of(rest, n) : 0;
    return l;
}
