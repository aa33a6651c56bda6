/* Einsum, by composition: operands are multiplied pairwise from the left, each step a pointwise product or a (batched)
 * matrix product. */
#include "internal.h"

#include <string.h>

/* Letters, and after them the axes of the ellipsis, counted from its end. */
enum { LETTERS = 52, SYMBOLS = LETTERS + WG_MAX_RANK };

typedef struct spec {
    const char *text;      /* the formula */
    wg_tensor on;          /* an operand that is set; errors are stored on its tape */
    wg_dtype dtype;        /* of all operands */
    int64_t size[SYMBOLS]; /* of each letter; -1: not seen yet */
    int dots;              /* axes of the ellipsis */
} spec;

/* A tensor with the letter of each axis. */
typedef struct term {
    wg_tensor x;
    int rank;
    int letter[WG_MAX_RANK];
} term;

/* ---- the formula --------------------------------------------------------------------------------------- */

static int letter_of(char c)
{
    if (c >= 'a' && c <= 'z') return c - 'a';
    return c >= 'A' && c <= 'Z' ? c - 'A' + 26 : -1;
}

static char name_of(int letter) { return (char)(letter < 26 ? 'a' + letter : 'A' + letter - 26); }

static uint64_t bit(int letter) { return (uint64_t)1 << letter; }

/* The set of letters in a text. An ellipsis stands for all of its axes. */
static uint64_t letters_in(const char *text)
{
    uint64_t set = 0;
    for (; *text; text++) {
        if (letter_of(*text) >= 0) set |= bit(letter_of(*text));
        for (int i = 0; *text == '.' && i < WG_MAX_RANK; i++) set |= bit(LETTERS + i);
    }
    return set;
}

/* Moves *at past an ellipsis, to its last dot; false if there is none. */
static bool is_ellipsis(const char **at)
{
    if (strncmp(*at, "...", 3) != 0) return false;
    *at += 2;
    return true;
}

/* The text after "->"; NULL, with an error, if the formula is not one for n operands. */
static const char *check(const spec *s, int n)
{
    const char *arrow = strstr(s->text, "->"), *at;
    uint64_t known = 0, used = 0;
    int terms = 1, dots = 0; /* dots: of this term */
    if (!arrow)
        return wg_fail(s->on, WG_ERR_ARGUMENT, "einsum", "\"%s\": the result's letters must follow a ->", s->text),
               NULL;
    for (at = s->text; *at; at++) {
        int letter = letter_of(*at);
        if (at == arrow) dots = 0;
        if (at == arrow || at == arrow + 1 || *at == ' ') continue;
        if (*at == ',' && at < arrow) {
            terms++;
            dots = 0;
        } else if (dots == 0 && is_ellipsis(&at)) {
            dots = 1;
        } else if (letter < 0) {
            wg_fail(s->on, WG_ERR_ARGUMENT, "einsum", "\"%s\": '%c' is not a letter a-z, A-Z", s->text, *at);
            return NULL;
        } else if (at < arrow) {
            known |= bit(letter);
        } else if (!(known & bit(letter)) || used & bit(letter)) {
            wg_fail(s->on, WG_ERR_ARGUMENT, "einsum", "\"%s\": %c of the result %s", s->text, *at,
                    used & bit(letter) ? "occurs twice" : "is in no operand");
            return NULL;
        } else {
            used |= bit(letter);
        }
    }
    if (terms == n) return arrow + 2;
    wg_fail(s->on, WG_ERR_ARGUMENT, "einsum", "\"%s\" has %d operands, %d %s given", s->text, terms, n,
            n == 1 ? "is" : "are");
    return NULL;
}

/* How many letters the term at `at` has, and how many of them are before its ellipsis; -1: it has none. */
static int count_letters(const char *at, int *before)
{
    int n = 0;
    for (*before = -1; *at != ',' && *at != '-'; at++) {
        if (is_ellipsis(&at)) *before = n;
        n += letter_of(*at) >= 0;
    }
    return n;
}

/* Finds the axes of the ellipsis, which broadcast; false, with an error, if they cannot. What else is wrong with an
 * operand is found when it is read. */
static bool measure_ellipsis(spec *s, const wg_tensor *x, int n)
{
    const char *at = s->text;
    wg_shape all = WG_SCALAR, shape;
    for (int i = 0; i < n; i++, at += strcspn(at, ",-") + 1) {
        int before, letters = count_letters(at, &before);
        if (before < 0 || !x[i].tape) continue;
        if (!wg__shape(x[i], &shape, "einsum")) return false;
        if (letters > shape.rank) continue;
        const wg_shape part = wg_shape_of(shape.rank - letters, shape.size + before), others = all;
        if (wg_shape_broadcast(&others, &part, &all)) continue;
        wg_fail(s->on, WG_ERR_SHAPE, "einsum",
                "\"%s\": the ellipsis of operand %d does not broadcast to the others'", s->text, i + 1);
        return false;
    }
    s->dots = all.rank;
    for (int i = 0; i < all.rank; i++) s->size[LETTERS + i] = all.size[all.rank - 1 - i];
    return true;
}

/* The axes of the ellipsis from axis *n of the shape on. One that is broadcast is left out. */
static void read_ellipsis(const spec *s, const wg_shape *shape, int axes, int *n, term *out, wg_shape *kept)
{
    for (int i = axes - 1; i >= 0; i--, ++*n) {
        if (shape->size[*n] == 1 && s->size[LETTERS + i] != 1) continue;
        out->letter[kept->rank] = LETTERS + i;
        kept->size[kept->rank++] = shape->size[*n];
    }
}

/* Reads the letters of operand x at *at, which is moved to the comma or arrow after them. */
static bool read_term(spec *s, const char **at, int operand, wg_tensor x, term *out)
{
    wg_shape shape;
    char text[128];
    int n = 0, before, letters = count_letters(*at, &before);
    wg_shape kept = {.rank = 0};
    if (!x.tape) return wg_fail(s->on, WG_ERR_ARGUMENT, "einsum", "operand %d was never set", operand), false;
    if (!wg__shape(x, &shape, "einsum")) return false;
    wg_dtype dtype = wg_dtype_get(x);
    if (operand == 1) s->dtype = dtype;
    if (!wg_dtype_is_float(dtype) || dtype != s->dtype)
        return wg_fail(s->on, WG_ERR_DTYPE, "einsum", "operand %d is %s: all must be f32, or all f64 (see wg_cast)",
                       operand, wg_dtype_name(dtype)),
               false;
    wg_shape_text(&shape, text, sizeof text);
    *out = (term){.x = x};
    for (; **at != ',' && **at != '-'; ++*at) {
        if (is_ellipsis(at)) read_ellipsis(s, &shape, shape.rank - letters, &n, out, &kept);
        int letter = letter_of(**at);
        if (letter < 0 || n++ >= shape.rank) continue;
        out->letter[kept.rank] = letter;
        kept.size[kept.rank++] = shape.size[n - 1];
        if (s->size[letter] < 0) s->size[letter] = shape.size[n - 1];
        if (s->size[letter] == shape.size[n - 1]) continue;
        wg_fail(s->on, WG_ERR_SHAPE, "einsum", "\"%s\": operand %d is %s: %c is %lld here and %lld before", s->text,
                operand, text, name_of(letter), (long long)shape.size[n - 1], (long long)s->size[letter]);
        return false;
    }
    out->rank = kept.rank;
    if (n == shape.rank) {
        if (kept.rank < n) out->x = wg_reshape(x, kept);
        return true;
    }
    wg_fail(s->on, WG_ERR_SHAPE, "einsum", "\"%s\": operand %d is %s and has %d letter%s", s->text, operand, text,
            n, n == 1 ? "" : "s");
    return false;
}

/* ---- one term ------------------------------------------------------------------------------------------ */

static uint64_t letters_of(const term *t)
{
    uint64_t set = 0;
    for (int i = 0; i < t->rank; i++) set |= bit(t->letter[i]);
    return set;
}

/* t with its axes in the order of n of its letters. */
static wg_tensor ordered(const term *t, const int *letter, int n)
{
    wg_axes axes = {.n = n};
    for (int i = 0; i < n; i++)
        for (int k = 0; k < t->rank; k++)
            if (t->letter[k] == letter[i]) axes.axis[i] = k;
    return n == 0 ? t->x : wg_permute(t->x, axes);
}

/* Replaces axes i < k of one letter by their diagonal: every (size + 1)-th element of the two flattened into one. */
static void diagonal(const spec *s, term *t, int i, int k)
{
    wg_axes axes = {.n = t->rank, .axis = {0}};
    int letter = t->letter[i], n = 0, rest[WG_MAX_RANK];
    for (int j = 0; j < t->rank; j++) {
        if (j == i || j == k) continue;
        rest[n] = t->letter[j];
        axes.axis[n++] = j;
    }
    axes.axis[n] = i;
    axes.axis[n + 1] = k;
    rest[n] = letter;
    wg_tensor flat = wg_flatten(wg_permute(t->x, axes), n, n + 1);
    t->x = wg_slice_step(flat, n, 0, wg_size(flat, n), s->size[letter] + 1);
    t->rank = n + 1;
    memcpy(t->letter, rest, sizeof rest);
}

static void diagonals(const spec *s, term *t)
{
    for (int i = 0; i < t->rank; i++)
        for (int k = i + 1; k < t->rank; k++)
            if (t->letter[i] == t->letter[k]) {
                diagonal(s, t, i, k);
                i = -1; /* axes have moved: start over */
                break;
            }
}

/* Sums over all letters not in `keep`. */
static void sum_out(term *t, uint64_t keep)
{
    wg_axes axes = {.n = 0};
    int n = 0;
    for (int i = 0; i < t->rank; i++) {
        if (keep & bit(t->letter[i]))
            t->letter[n++] = t->letter[i];
        else
            axes.axis[axes.n++] = i;
    }
    if (axes.n > 0) t->x = wg_sum(t->x, axes, false);
    t->rank = n;
}

/* ---- two terms ----------------------------------------------------------------------------------------- */

/* A sequence of letters. */
typedef struct group {
    int n, letter[2 * WG_MAX_RANK];
} group;

static void append(group *to, const group *more)
{
    for (int i = 0; i < more->n; i++) to->letter[to->n++] = more->letter[i];
}

/* The letters of t that are in set, in t's order. */
static group chosen(const term *t, uint64_t set)
{
    group g = {.n = 0};
    for (int i = 0; i < t->rank; i++)
        if (set & bit(t->letter[i])) g.letter[g.n++] = t->letter[i];
    return g;
}

static wg_tensor grouped(const term *t, group first, const group *second, const group *third)
{
    append(&first, second);
    append(&first, third);
    return ordered(t, first.letter, first.n);
}

static void append_sizes(const spec *s, const group *g, wg_shape *shape)
{
    for (int i = 0; i < g->n; i++) shape->size[shape->rank++] = s->size[g->letter[i]];
}

/* The number of elements of the letters; -2, invalid in a shape, on overflow (possible if another axis is empty). */
static int64_t count(const spec *s, const group *g)
{
    wg_shape shape = {.rank = 0};
    int64_t n;
    append_sizes(s, g, &shape);
    return wg_shape_numel(&shape, &n) ? n : -2;
}

/* t reshaped to [batch, ones, own, inner, ones] for a pointwise product. */
static wg_tensor aligned(const spec *s, const term *t, const group *batch, int before, const group *own,
                         const group *inner, int after)
{
    wg_shape shape = {.rank = 0};
    append_sizes(s, batch, &shape);
    for (int i = 0; i < before; i++) shape.size[shape.rank++] = 1;
    append_sizes(s, own, &shape);
    append_sizes(s, inner, &shape);
    for (int i = 0; i < after; i++) shape.size[shape.rank++] = 1;
    return wg_reshape(grouped(t, *batch, own, inner), shape);
}

/* Replaces a by a times b, summed over their common letters that are not in `needed`. */
static bool multiply(const spec *s, term *a, term *b, uint64_t needed)
{
    sum_out(a, letters_of(b) | needed);
    sum_out(b, letters_of(a) | needed);
    const uint64_t both = letters_of(a) & letters_of(b);
    const group batch = chosen(a, both & needed), inner = chosen(a, both & ~needed);
    const group left = chosen(a, ~both), right = chosen(b, ~both);
    if (batch.n + left.n + right.n > WG_MAX_RANK) {
        wg_fail(s->on, WG_ERR_SHAPE, "einsum",
                "\"%s\": a product of two operands has %d axes, at most %d are supported", s->text,
                batch.n + left.n + right.n, WG_MAX_RANK);
        return false;
    }
    group rest = batch;
    append(&rest, &left);
    append(&rest, &right);
    if (inner.n == 0 || left.n + right.n == 0) {
        wg_axes last = {.n = inner.n};
        for (int i = 0; i < inner.n; i++) last.axis[i] = batch.n + i;
        a->x = wg_mul(aligned(s, a, &batch, 0, &left, &inner, right.n),
                      aligned(s, b, &batch, left.n, &right, &inner, 0));
        if (inner.n > 0) a->x = wg_sum(a->x, last, false);
    } else {
        const int64_t n = count(s, &batch), l = count(s, &left), k = count(s, &inner), r = count(s, &right);
        wg_shape out = {.rank = 0};
        append_sizes(s, &rest, &out);
        wg_tensor x = wg_reshape(grouped(a, batch, &left, &inner), batch.n ? WG_DIMS(n, l, k) : WG_DIMS(l, k));
        wg_tensor y = wg_reshape(grouped(b, batch, &inner, &right), batch.n ? WG_DIMS(n, k, r) : WG_DIMS(k, r));
        a->x = wg_reshape(wg_matmul(x, y), out);
    }
    a->rank = rest.n;
    memcpy(a->letter, rest.letter, sizeof a->letter);
    return true;
}

/* ---- the public function ----------------------------------------------------------------------------------------- */

wg_tensor wg_einsum(const char *formula, const wg_tensor *x, int n)
{
    if (n < 1 || !x) return wg_fail(WG_NONE, WG_ERR_ARGUMENT, "einsum", "needs at least one tensor");
    spec s = {.text = formula, .on = x[0]};
    for (int i = 1; i < n && !s.on.tape; i++) s.on = x[i];
    if (!formula) return wg_fail(s.on, WG_ERR_ARGUMENT, "einsum", "the formula is NULL");
    for (int i = 0; i < SYMBOLS; i++) s.size[i] = -1;
    const char *result = check(&s, n), *at = formula;
    term sum = {.rank = 0}, next;
    if (!result || !measure_ellipsis(&s, x, n)) return wg__nil_of(s.on);
    for (int i = 0; i < n; i++) {
        if (!read_term(&s, &at, i + 1, x[i], &next)) return wg__nil_of(s.on);
        diagonals(&s, &next);
        if (i == 0)
            sum = next;
        else if (!multiply(&s, &sum, &next, letters_in(at)))
            return wg__nil_of(s.on);
        if (*at == ',') at++;
    }
    sum_out(&sum, letters_in(result));
    group order = {.n = 0};
    for (; *result; result++) {
        if (letter_of(*result) >= 0) order.letter[order.n++] = letter_of(*result);
        if (!is_ellipsis(&result)) continue;
        for (int i = s.dots - 1; i >= 0; i--) order.letter[order.n++] = LETTERS + i;
    }
    return ordered(&sum, order.letter, order.n);
}
