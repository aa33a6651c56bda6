/* Samples of pointwise ops: from the rows of pointwise.def; and of the public forms that take numbers. */
#include "samples.h"

#include <string.h>

#include "../ops/internal.h"
#include "../ops/pointwise_rows.h"

/* ---- one operand ---- */

static const char *const specs[] = {"",        "1",       "7",       "1030",  "0",     "3,0",   "2,3",
                                    "1,1",     "5,1,3",   "2,3,4,5", "33,31", "3,513", "2,3 t", "1,2,1,2,1,2,1,2",
                                    "4,5,6 t", "5,4 s",   "5,4 o",   "3,7 p", "6,4 f", "3,4 e", "3,4 b",
                                    "17 f",    "513,3 t", "64"};

static wg_tensor record(const op_samples *row, const wg_tensor *in, int n)
{
    return wg_record(wg__pointwise_op(row->op), in, n, NULL, 0);
}

static wg_tensor make_unary(sampler *s, const op_samples *row, int i)
{
    return record(row, (wg_tensor[]){x_in(s, specs[i])}, 1);
}

static wg_tensor make_logic1(sampler *s, const op_samples *row, int i)
{
    return record(row, (wg_tensor[]){x_bool(s, specs[i])}, 1);
}

/* ---- two and three ---- */

/* "=": the first operand again. */
static const char *const pairs[][2] = {{"2,3", "2,3"},
                                       {"", ""},
                                       {"1", "1"},
                                       {"7", "7"},
                                       {"1030", "1030"},
                                       {"0", "0"},
                                       {"3,0", "1,0"},
                                       {"2,3", ""},
                                       {"", "2,3"},
                                       {"2,3", "3"},
                                       {"3", "2,3"},
                                       {"2,1", "1,3"},
                                       {"4,1,5", "3,1"},
                                       {"1", "1030"},
                                       {"1030", ""},
                                       {"5,7 t", "5,7"},
                                       {"5,7", "5,7 t"},
                                       {"4,6 s", "4,6 p"},
                                       {"4,6 f", "4,6 e"},
                                       {"3,4 b", "3,1"},
                                       {"33,31", "31"},
                                       {"33,31", "33,1"},
                                       {"2,3,4,5", "4,1"},
                                       {"1,2,1,2,1,2,1,2", "2"},
                                       {"2,3,4,5 t", "2,3,4,5 o"},
                                       {"2,3", "="},
                                       {"1030", "="},
                                       {"", "="}};

static const char *const triples[][3] = {{"2,3", "2,3", "2,3"},
                                         {"", "", ""},
                                         {"1", "1", "1"},
                                         {"7", "7", "7"},
                                         {"1030", "1030", "1030"},
                                         {"0", "0", "0"},
                                         {"2,0", "0", ""},
                                         {"2,3", "", ""},
                                         {"", "2,3", ""},
                                         {"", "", "2,3"},
                                         {"2,3", "3", "2,1"},
                                         {"2,1", "1,3", ""},
                                         {"4,1,1", "3,1", "5"},
                                         {"1030", "1", "1030"},
                                         {"5,7 t", "5,7", "7"},
                                         {"5,7", "5,7 t", "5,1"},
                                         {"4,6 s", "4,6 p", "4,6 o"},
                                         {"4,6 f", "4,6 e", "4,6 b"},
                                         {"33,31", "31", "33,1"},
                                         {"1,2,1,2,1,2,1,2", "2", ""},
                                         {"2,3", "=", "2,3"},
                                         {"2,3", "=", "="},
                                         {"7", "7", "="}};

static wg_tensor operand(sampler *s, const char *spec, wg_tensor first)
{
    return spec[0] == '=' ? first : x_in(s, spec);
}

static wg_tensor make_binary(sampler *s, const op_samples *row, int i)
{
    wg_tensor a = x_in(s, pairs[i][0]), b = operand(s, pairs[i][1], a);
    return record(row, (wg_tensor[]){a, b}, 2);
}

static wg_tensor make_logic2(sampler *s, const op_samples *row, int i)
{
    wg_tensor a = x_bool(s, pairs[i][0]), b = pairs[i][1][0] == '=' ? a : x_bool(s, pairs[i][1]);
    return record(row, (wg_tensor[]){a, b}, 2);
}

static wg_tensor make_ternary(sampler *s, const op_samples *row, int i)
{
    wg_tensor a = x_in(s, triples[i][0]);
    if (!strcmp(row->name, "clamp")) { /* bounds in order, as the public function makes sure */
        wg_tensor low = x_range(s, triples[i][1][0] == '=' ? "" : triples[i][1], -1.5, -0.5);
        return record(row,
                      (wg_tensor[]){a, low, x_range(s, triples[i][2][0] == '=' ? "" : triples[i][2], 0.5, 1.5)}, 3);
    }
    wg_tensor b = operand(s, triples[i][1], a), c = operand(s, triples[i][2], triples[i][1][0] == '=' ? a : b);
    return record(row, (wg_tensor[]){a, b, c}, 3);
}

static wg_tensor make_choose(sampler *s, const op_samples *row, int i)
{
    const char *const *t = triples[i];
    wg_tensor m = x_bool(s, t[0]), a = x_in(s, t[1][0] == '=' ? t[0] : t[1]), b = operand(s, t[2], a);
    return record(row, (wg_tensor[]){m, a, b}, 3);
}

static wg_tensor make_fill(sampler *s, const op_samples *row, int i)
{
    const char *const *t = triples[i];
    wg_tensor a = x_in(s, t[0]), m = x_bool(s, t[1][0] == '=' ? t[0] : t[1]), b = operand(s, t[2], a);
    return record(row, (wg_tensor[]){a, m, b}, 3);
}

/* ---- what they must refuse ---- */

/* Each spec's first letter names the kind: x float, b bool, i i32. */
typedef struct refusal {
    wg_status status;
    const char *words; /* after the op's name */
    const char *operand[3];
} refusal;

static wg_tensor operand_of(sampler *s, const char *text)
{
    return text[0] == 'x' ? x_in(s, text + 1) : text[0] == 'b' ? x_bool(s, text + 1) : x_i32(s, text + 1, 0, 3);
}

static wg_tensor refuse(sampler *s, const op_samples *row, const refusal *r, int n)
{
    static char words[128];
    strcpy(words, row->name);
    strcat(words, r->words);
    expect(s, r->status, words);
    wg_tensor in[3];
    for (int i = 0; i < n; i++) in[i] = operand_of(s, r->operand[i]);
    return record(row, in, n);
}

static const refusal bad_one[] = {{WG_ERR_DTYPE, "|bool", {"b2,3"}},
                                  {WG_ERR_DTYPE, "", {"b"}},
                                  {WG_ERR_DTYPE, "", {"b0"}},
                                  {WG_ERR_DTYPE, "|i32", {"i2,3"}},
                                  {WG_ERR_DTYPE, "", {"i"}}};
static const refusal bad_two[] = {
    {WG_ERR_SHAPE, "|[2, 3]|[4]", {"x2,3", "x4"}}, {WG_ERR_SHAPE, "|[2, 3]|[3, 2]", {"x2,3", "x3,2"}},
    {WG_ERR_SHAPE, "|[0]|[2]", {"x0", "x2"}},      {WG_ERR_DTYPE, "|i32", {"x2", "i2"}},
    {WG_ERR_DTYPE, "|bool", {"x2", "b2"}},         {WG_ERR_DTYPE, "", {"b2", "b2"}}};
static const refusal bad_three[] = {{WG_ERR_SHAPE, "|[2, 3]|[4]", {"x2,3", "x4", "x"}},
                                    {WG_ERR_SHAPE, "|[3]|[2, 2]", {"x3", "x3", "x2,2"}},
                                    {WG_ERR_SHAPE, "|[0]|[2]", {"x2", "x2", "x0"}},
                                    {WG_ERR_DTYPE, "|i32", {"x2", "i2", "x2"}},
                                    {WG_ERR_DTYPE, "|bool", {"x2", "x2", "b2"}}};
static const refusal bad_logic1[] = {
    {WG_ERR_DTYPE, "|bool", {"x2,3"}}, {WG_ERR_DTYPE, "|bool", {"x"}}, {WG_ERR_DTYPE, "|bool", {"i2"}}};
static const refusal bad_logic2[] = {{WG_ERR_DTYPE, "|bool", {"x2", "x2"}},
                                     {WG_ERR_DTYPE, "|bool", {"b2", "x2"}},
                                     {WG_ERR_DTYPE, "|bool", {"i2", "b2"}},
                                     {WG_ERR_SHAPE, "|[2, 3]|[4]", {"b2,3", "b4"}},
                                     {WG_ERR_SHAPE, "|[2]|[3]", {"b2", "b3"}}};
static const refusal bad_choose[] = {{WG_ERR_SHAPE, "|[2, 3]|[4]", {"b2,3", "x4", "x"}},
                                     {WG_ERR_SHAPE, "|[3]|[2]", {"b", "x3", "x2"}},
                                     {WG_ERR_DTYPE, "|bool", {"x2", "x2", "x2"}},
                                     {WG_ERR_DTYPE, "|bool", {"i2", "x2", "x2"}},
                                     {WG_ERR_DTYPE, "|i32", {"b2", "x2", "i2"}}};
static const refusal bad_fill[] = {{WG_ERR_SHAPE, "|[2, 3]|[4]", {"x2,3", "b4", "x"}},
                                   {WG_ERR_SHAPE, "|[3]|[2]", {"x3", "b", "x2"}},
                                   {WG_ERR_DTYPE, "|bool", {"x2", "x2", "x2"}},
                                   {WG_ERR_DTYPE, "|bool", {"x2", "i2", "x2"}},
                                   {WG_ERR_DTYPE, "|i32", {"x2", "b2", "i2"}}};

#define REFUSAL(kind, n)                                                                                           \
    static wg_tensor refuse_##kind(sampler *s, const op_samples *row, int i)                                       \
    {                                                                                                              \
        return refuse(s, row, &bad_##kind[i], n);                                                                  \
    }
REFUSAL(one, 1)
REFUSAL(two, 2)
REFUSAL(three, 3)
REFUSAL(logic1, 1)
REFUSAL(logic2, 2)
REFUSAL(choose, 3)
REFUSAL(fill, 3)

/* ---- the rows ---- */

#define FLAGS(flags) ((flags)&WG_OP_SMOOTH ? SAMPLE_SMOOTH : 0)
/* Of bad_one, how many a row of these types must refuse. */
enum { BAD_FLOAT = COUNT(bad_one), BAD_NUMERIC = COUNT(bad_one) - 2 };

#define SAMPLES(text, set, kind, refusals, bads, least, most, given)                                               \
    {.name = #text,                                                                                                \
     .flags = given,                                                                                               \
     .n = COUNT(set),                                                                                              \
     .n_bad = bads,                                                                                                \
     .make = make_##kind,                                                                                          \
     .bad = refuse_##refusals,                                                                                     \
     .op = ROW_##text,                                                                                             \
     .low = least,                                                                                                 \
     .high = most},

const op_samples samples_pointwise[] = {
#define UNARY(scope, name, types, flags, kernel, gx, reference, low, high, ulp)                                    \
    SAMPLES(name, specs, unary, one, BAD_##types, low, high, FLAGS(flags))
#define BINARY(scope, name, types, flags, kernel, ga, gb, reference, low, high, ulp)                               \
    SAMPLES(name, pairs, binary, two, COUNT(bad_two), low, high, FLAGS(flags))
#define TERNARY(scope, name, types, flags, kernel, ga, gb, gc, reference, low, high, ulp)                          \
    SAMPLES(name, triples, ternary, three, COUNT(bad_three), low, high, FLAGS(flags))
#define TEST(scope, name, types, ...)    SAMPLES(name, specs, unary, one, BAD_##types, -2, 2, 0)
#define COMPARE(scope, name, types, ...) SAMPLES(name, pairs, binary, two, COUNT(bad_two), -2, 2, 0)
#define LOGIC1(scope, name, ...)         SAMPLES(name, specs, logic1, logic1, COUNT(bad_logic1), 0, 0, 0)
#define LOGIC2(scope, name, ...)         SAMPLES(name, pairs, logic2, logic2, COUNT(bad_logic2), 0, 0, 0)
#define CHOOSE(scope, name, types, flags, kernel, gm, ga, gb, reference, low, high, ulp)                           \
    SAMPLES(name, triples, choose, choose, COUNT(bad_choose), low, high, FLAGS(flags))
#define FILL(scope, name, types, flags, kernel, ga, gm, gb, reference, low, high, ulp)                             \
    SAMPLES(name, triples, fill, fill, COUNT(bad_fill), low, high, FLAGS(flags))
#include "../ops/pointwise.def"
    {0}};

/* ---- public forms that take numbers ---- */

enum {
    ADD_SCALAR,
    SUB_SCALAR,
    SCALE,
    DIV_SCALAR,
    RSUB_SCALAR,
    RDIV_SCALAR,
    POW_SCALAR,
    MAXIMUM_SCALAR,
    MINIMUM_SCALAR,
    LEAKY_RELU,
    ELU,
    CLAMP,
    MASKED_FILL,
    CAST
};

static const double numbers[] = {1.5, -0.75, 2, 3, 0.5, -1.25, 1, -2};

static wg_tensor make_scalar(sampler *s, const op_samples *row, int i)
{
    wg_tensor x = x_in(s, specs[i]);
    double c = numbers[i % COUNT(numbers)];
    switch (row->op) {
    case ADD_SCALAR: return wg_add_scalar(x, c);
    case SUB_SCALAR: return wg_sub_scalar(x, c);
    case SCALE: return wg_scale(x, c);
    case DIV_SCALAR: return wg_div_scalar(x, c);
    case RSUB_SCALAR: return wg_rsub_scalar(c, x);
    case RDIV_SCALAR: return wg_rdiv_scalar(c, x);
    case POW_SCALAR: return wg_pow_scalar(x, c);
    case MAXIMUM_SCALAR: return wg_maximum_scalar(x, c / 3);
    case MINIMUM_SCALAR: return wg_minimum_scalar(x, c / 3);
    case LEAKY_RELU: return wg_leaky_relu(x, c / 10);
    case ELU: return wg_elu(x, c);
    case CLAMP: return wg_clamp(x, -1 + c / 8, 1 + c / 8);
    case MASKED_FILL: return wg_masked_fill(x, x_bool(s, specs[i]), c);
    default: return WG_NONE;
    }
}

/* A cast to its own dtype, and to f64 from either; casts that lose digits are compared with C's in
 * test_pointwise_kernels.c. */
static wg_tensor make_cast(sampler *s, const op_samples *row, int i)
{
    wg_tensor x = x_in(s, specs[i]);
    if (i % 3 == 1) return wg_cast(x, wg_dtype_get(x));
    if (i % 3 == 2) return wg_cast(wg_cast(x, WG_F64), wg_dtype_get(x));
    return wg_cast(x, WG_F64);
}

static wg_tensor make_cast_whole(sampler *s, const op_samples *row, int i)
{
    wg_tensor x = wg_scale(x_in(s, specs[i]), 3);
    if (i % 2) return wg_cast(x, WG_I32);
    return wg_cast(wg_cast(x, WG_BOOL), WG_I32);
}

static wg_tensor bad_scalar(sampler *s, const op_samples *row, int i)
{
    expect(s, WG_ERR_DTYPE, row->name);
    if (row->op == CAST) {
        if (i == 0) return wg_cast(x_in(s, "2,3"), WG_DTYPES);
        return wg_cast(x_in(s, "2,3"), (wg_dtype)77);
    }
    wg_tensor x = i == 0 ? x_bool(s, "2,3") : x_bool(s, "");
    switch (row->op) {
    case ADD_SCALAR: return wg_add_scalar(x, 1);
    case SUB_SCALAR: return wg_sub_scalar(x, 1);
    case SCALE: return wg_scale(x, 1);
    case DIV_SCALAR: return wg_div_scalar(x, 1);
    case RSUB_SCALAR: return wg_rsub_scalar(1, x);
    case RDIV_SCALAR: return wg_rdiv_scalar(1, x);
    case POW_SCALAR: return wg_pow_scalar(x, 1);
    case MAXIMUM_SCALAR: return wg_maximum_scalar(x, 1);
    case MINIMUM_SCALAR: return wg_minimum_scalar(x, 1);
    case LEAKY_RELU: return wg_leaky_relu(x, 1);
    case CLAMP: return wg_clamp(x, -1, 1);
    default: return wg_elu(x, 1);
    }
}

static wg_tensor bad_masked_fill(sampler *s, const op_samples *row, int i)
{
    static const char *const mask[] = {"4", "3,2", "0"};
    expect(s, i < 3 ? WG_ERR_SHAPE : WG_ERR_DTYPE, i == 0 ? "masked_fill|[2, 3]|[4]" : "masked_fill");
    wg_tensor x = x_in(s, "2,3");
    return wg_masked_fill(x, i < 3 ? x_bool(s, mask[i]) : i == 3 ? x_in(s, "2,3") : x_i32(s, "3", 0, 2), 1);
}

/* Operands of one shape: broadcasting is refused. */
static wg_tensor make_add_n(sampler *s, const op_samples *row, int i)
{
    wg_tensor x[70];
    int n = i < 20 ? 1 + (i + 2) % 5 : 20 + 3 * i % 50;
    for (int k = 0; k < n && k < SAMPLE_INPUTS; k++) x[k] = x_in(s, specs[(i + 6) % COUNT(specs)]);
    for (int k = SAMPLE_INPUTS; k < n; k++) x[k] = x[k % 3];
    if (i % 7 == 6 && n > 1) x[n - 1] = x[0];
    return wg_add_n(x, n);
}

static wg_tensor bad_add_n(sampler *s, const op_samples *row, int i)
{
    wg_tensor x[3] = {x_in(s, "2,3"), x_in(s, i < 2 ? "4" : "2,3"),
                      i == 2 ? x_i32(s, "2,3", 0, 2) : x_in(s, "2,3")};
    expect(s, i < 2 ? WG_ERR_SHAPE : i == 2 ? WG_ERR_DTYPE : WG_ERR_ARGUMENT, i < 2 ? "add|[2, 3]|[4]" : "add");
    if (i == 3) x[1] = WG_NONE;
    if (i == 4) x[2] = WG_NONE;
    return wg_add_n(x, i == 0 ? 2 : 3);
}

#define SCALAR(text, number, least, most, given)                                                                   \
    {                                                                                                              \
        .name = text, .flags = (given), .n = COUNT(specs), .n_bad = 2, .make = make_scalar, .bad = bad_scalar,     \
        .op = number, .low = least, .high = most                                                                   \
    }

const op_samples samples_scalar[] = {SCALAR("add", ADD_SCALAR, -2, 2, SAMPLE_SMOOTH),
                                     SCALAR("sub", SUB_SCALAR, -2, 2, SAMPLE_SMOOTH),
                                     SCALAR("mul", SCALE, -2, 2, SAMPLE_SMOOTH),
                                     SCALAR("div", DIV_SCALAR, -2, 2, SAMPLE_SMOOTH),
                                     SCALAR("sub", RSUB_SCALAR, -2, 2, SAMPLE_SMOOTH),
                                     SCALAR("div", RDIV_SCALAR, 0.5, 2, SAMPLE_SMOOTH),
                                     SCALAR("pow", POW_SCALAR, 0.5, 2, SAMPLE_SMOOTH),
                                     SCALAR("maximum", MAXIMUM_SCALAR, -2, 2, 0),
                                     SCALAR("minimum", MINIMUM_SCALAR, -2, 2, 0),
                                     SCALAR("leaky_relu", LEAKY_RELU, -2, 2, 0),
                                     SCALAR("elu", ELU, -2, 2, 0),
                                     SCALAR("clamp", CLAMP, -2, 2, 0),
                                     {.name = "masked_fill",
                                      .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME,
                                      .n = COUNT(specs),
                                      .n_bad = 5,
                                      .make = make_scalar,
                                      .bad = bad_masked_fill,
                                      .op = MASKED_FILL},
                                     {.name = "cast",
                                      .flags = SAMPLE_SMOOTH,
                                      .n = COUNT(specs),
                                      .n_bad = 2,
                                      .make = make_cast,
                                      .bad = bad_scalar,
                                      .op = CAST},
                                     {.name = "cast", .n = COUNT(specs), .make = make_cast_whole},
                                     {.name = "add_n",
                                      .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME,
                                      .n = 24,
                                      .n_bad = 5,
                                      .make = make_add_n,
                                      .bad = bad_add_n},
                                     {0}};
