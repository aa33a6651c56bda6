/* Names by patterns, axes by letters, gates by letters: see map.h. */
#include "map.h"

#include "../autograd/base/pattern.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* ---- names ---- */

enum { MOST_STARS = 4 };

static bool matches(const wg_map_row *row, const char *name, wg__star *stars)
{
    return wg__matches(row->from, strlen(row->from), name, stars);
}

const wg_map_row *wg__map_find(const wg_map_row *map, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (matches(&map[i], name, NULL)) return &map[i];
    return NULL;
}

const wg_map_row *wg__map_next(const wg_map_row *map, size_t n, const wg_map_row *row)
{
    for (const wg_map_row *next = row + 1; next < map + n; next++)
        if (strcmp(next->from, row->from) == 0) return next;
    return NULL;
}

bool wg__map_name(const wg_map_row *row, const char *name, char *to, size_t size)
{
    wg__star stars[MOST_STARS];
    const wg__star *star = stars;
    size_t at = 0;
    if (!matches(row, name, stars)) return false;
    for (const char *c = row->to; *c; c++) {
        const char *text = *c == '*' ? star->begin : c;
        const size_t n = *c == '*' ? (size_t)(star->end - star->begin) : 1;
        if (*c == '*') star++;
        if (n >= size - at) return false;
        memcpy(to + at, text, n);
        at += n;
    }
    to[at] = 0;
    return true;
}

/* ---- axes: "ihk->(hk)i" ---- */

/* The letters of one side of an arrow, without blanks and parentheses. `group` of each: axes of one group become one
 * axis. Returns their number, -1 if there are more than 8, or something else than letters. */
static int read_side(const char *text, const char *end, char *letter, int *group, int *groups)
{
    int n = 0;
    bool open = false;
    for (*groups = 0; text < end; text++) {
        if (*text == ' ') continue;
        if (*text == '(' || *text == ')') {
            if (open == (*text == '(')) return -1;
            open = *text == '(';
            if (open) ++*groups;
            continue;
        }
        if ((!isalpha((unsigned char)*text) && *text != '1') || n == WG_MAX_RANK) return -1;
        if (!open) ++*groups;
        letter[n] = *text;
        group[n++] = *groups - 1;
    }
    return open ? -1 : n;
}

typedef struct axis_letters {
    char from[WG_MAX_RANK], to[WG_MAX_RANK];
    int group[WG_MAX_RANK]; /* of `to` */
    int n_from, n_to, groups;
} axis_letters;

static int place_of(char letter, const char *letters, int n)
{
    const char *at = memchr(letters, letter, (size_t)n);
    return at ? (int)(at - letters) : -1;
}

/* Both sides must have the same letters, each once. A 1 is an axis of size 1, which may come and go. */
static bool parse_axes(const char *text, axis_letters *a)
{
    int group[WG_MAX_RANK], groups;
    const char *arrow = strstr(text, "->");
    if (!arrow) return false;
    a->n_from = read_side(text, arrow, a->from, group, &groups);
    if (a->n_from < 0 || groups != a->n_from) return false; /* no group in the file */
    a->n_to = read_side(arrow + 2, arrow + strlen(arrow), a->to, a->group, &a->groups);
    if (a->n_to < 0) return false;
    for (int i = 0; i < a->n_from; i++)
        if (a->from[i] != '1' && (place_of(a->from[i], a->to, a->n_to) < 0 ||
                                  place_of(a->from[i], a->from + i + 1, a->n_from - i - 1) >= 0))
            return false;
    for (int i = 0; i < a->n_to; i++)
        if (a->to[i] != '1' &&
            (place_of(a->to[i], a->from, a->n_from) < 0 || place_of(a->to[i], a->to + i + 1, a->n_to - i - 1) >= 0))
            return false;
    return true;
}

static const char *arrange_axes(const char *text, const wg_shape *shape, wg__arranged *r)
{
    axis_letters a;
    int64_t strides[WG_MAX_RANK], next = 1;
    if (!parse_axes(text, &a) || a.n_from != shape->rank) return "axes are not those of the tensor";
    for (int i = shape->rank - 1; i >= 0; next *= shape->size[i--]) strides[i] = next;
    for (int i = 0; i < a.n_from; i++)
        if (a.from[i] == '1' && shape->size[i] != 1) return "an axis called 1 is not of size 1";
    int64_t size[WG_MAX_RANK];
    for (int i = 0; i < a.groups; i++) size[i] = 1;
    for (int i = 0; i < a.n_to; i++) {
        const int at = a.to[i] == '1' ? -1 : place_of(a.to[i], a.from, a.n_from);
        if (at < 0) continue;
        r->size[r->n] = shape->size[at];
        r->stride[r->n++] = strides[at];
        size[a.group[i]] *= shape->size[at]; /* at most the number of elements, which was checked */
    }
    r->shape = wg_shape_of(a.groups, size);
    return NULL;
}

/* ---- gates: "iofg->ifgo" ---- */

/* The order of blocks; their number, or 0 if the sides are not the same letters, each once. */
static int parse_gates(const char *text, int64_t *order)
{
    const char *arrow = strstr(text, "->");
    const int n = arrow ? (int)(arrow - text) : 0;
    if (n < 1 || n > WG_MAX_RANK || strlen(arrow + 2) != (size_t)n) return 0;
    for (int i = 0; i < n; i++) {
        const int at = place_of(arrow[2 + i], text, n);
        if (at < 0 || !isalpha((unsigned char)text[at]) || place_of(text[i], text + i + 1, n - i - 1) >= 0)
            return 0;
        order[i] = at;
    }
    return n;
}

/* ---- a map ---- */

static int stars(const char *text)
{
    int n = 0;
    for (; *text; text++) n += *text == '*';
    return n;
}

wg_status wg__map_check(const wg_map_row *map, size_t n, wg_error *error)
{
    int64_t order[WG_MAX_RANK];
    axis_letters a;
    for (size_t i = 0; i < n; i++) {
        const wg_map_row *r = &map[i];
        const char *wrong =
            !r->from                                    ? "from is NULL"
            : stars(r->from) > MOST_STARS               ? "from has more than 4 stars"
            : r->to && stars(r->to) > stars(r->from)    ? "to has more stars than from"
            : r->take < 0 || r->rows < 0 || r->row < 0  ? "a row is negative"
            : r->axes && !parse_axes(r->axes, &a)       ? "axes are not the same letters on both sides of ->"
            : r->gates && !parse_gates(r->gates, order) ? "gates are not the same letters on both sides of ->"
                                                        : NULL;
        if (wrong)
            return wg_error_set(error, WG_ERR_ARGUMENT, "row %zu of the map, %.100s: %s", i,
                                r->from ? r->from : "?", wrong);
    }
    return WG_OK;
}

const char *wg__arrange(const wg_map_row *how, const wg_shape *shape, wg__arranged *r)
{
    *r = (wg__arranged){.shape = *shape, .n = 1, .size = {1}, .stride = {1}};
    int64_t numel = 0;
    if (!wg_shape_numel(shape, &numel)) return "the shape is invalid";
    r->size[0] = numel;
    if (!how) return NULL;
    if (how->axes) {
        r->n = 0;
        const char *wrong = arrange_axes(how->axes, shape, r);
        if (wrong) return wrong;
    }
    if (how->take == 0 && how->rows == 0 && how->row == 0 && !how->gates) return NULL;
    if (r->shape.rank == 0) return "a scalar has no rows";
    const int64_t all = r->shape.size[0];
    if (how->take > all || how->rows > all - how->take) return "it has fewer rows than the map takes";
    r->take = how->take;
    r->shape.size[0] = how->rows ? how->rows : all - how->take;
    r->blocks = how->gates ? parse_gates(how->gates, r->order) : 0;
    if (r->blocks && r->shape.size[0] % r->blocks != 0) return "its rows are not a multiple of the gates";
    return NULL;
}

/* Converts n elements from element `first` on, counted along the axes. */
static char *copy_run(const wg__arranged *a, const wg__converter *c, const char *from, int64_t first, int64_t n,
                      wg_dtype dtype, char *to)
{
    const int last = a->n - 1;
    while (n > 0) {
        int64_t rest = first, offset = 0;
        for (int i = last; i >= 0; rest /= a->size[i--]) offset += rest % a->size[i] * a->stride[i];
        const int64_t left = a->size[last] - first % a->size[last], run = left < n ? left : n;
        wg__convert(c, from + offset * (int64_t)wg__converter_size(c), a->stride[last], run, dtype, to);
        to += (size_t)run * wg_dtype_size(dtype);
        first += run;
        n -= run;
    }
    return to;
}

void wg__copy_arranged(const wg__arranged *a, const wg__converter *c, const char *from, wg_dtype dtype, char *to)
{
    int64_t numel = 0;
    if (!wg_shape_numel(&a->shape, &numel) || numel == 0) return; /* it was checked before */
    const int64_t rows = a->shape.rank > 0 ? a->shape.size[0] : 1, columns = numel / rows;
    if (a->n == 0) { /* all axes have size 1 */
        wg__convert(c, from, 1, 1, dtype, to);
        return;
    }
    if (!a->blocks) {
        copy_run(a, c, from, a->take * columns, numel, dtype, to);
        return;
    }
    const int64_t block = rows / a->blocks;
    for (int i = 0; i < a->blocks; i++)
        to = copy_run(a, c, from, (a->take + a->order[i] * block) * columns, block * columns, dtype, to);
}
