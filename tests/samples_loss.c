/* Samples of losses, layer norm and dropout. */
#include "samples.h"

#include <math.h>
#include <string.h>

#include "../ops/kernels/reduce/reduce.h"

/* ---- cross-entropy ---- */

typedef struct ce_case {
    const char *logits;
    int labels; /* 0: i32; 1: probabilities; 2: i32, some ignored; 3: all ignored */
    bool weighted;
    double smoothing;
    wg_reduction reduction;
} ce_case;

static const ce_case entropies[] = {{"4,3", 0, false, 0, WG_MEAN},
                                    {"3", 0, false, 0, WG_MEAN},
                                    {"1", 0, false, 0, WG_SUM},
                                    {"7,5", 0, true, 0, WG_MEAN},
                                    {"7,5", 0, true, 0.1, WG_MEAN},
                                    {"7,5", 2, true, 0.1, WG_MEAN},
                                    {"7,5", 2, false, 0, WG_SUM},
                                    {"7,5", 3, false, 0, WG_MEAN},
                                    {"2,3,5", 0, false, 0.2, WG_REDUCE_NONE},
                                    {"2,3,5", 2, true, 0, WG_REDUCE_NONE},
                                    {"0,5", 0, false, 0, WG_MEAN},
                                    {"0,5", 0, false, 0, WG_REDUCE_NONE},
                                    {"2,0,5", 0, false, 0, WG_SUM},
                                    {"4,3", 1, false, 0, WG_MEAN},
                                    {"4,3", 1, true, 0, WG_MEAN},
                                    {"4,3", 1, false, 0.3, WG_SUM},
                                    {"2,3,4", 1, true, 0.1, WG_REDUCE_NONE},
                                    {"515,2", 0, false, 0, WG_MEAN},
                                    {"3,1030", 0, false, 0.1, WG_MEAN},
                                    {"50,65", 0, false, 0, WG_MEAN},
                                    {"5,7 t", 0, false, 0, WG_MEAN},
                                    {"4,6 s", 0, true, 0, WG_MEAN},
                                    {"4,6 p", 2, false, 0.5, WG_MEAN},
                                    {"4,6 f", 1, false, 0, WG_MEAN},
                                    {"4,6 e", 0, false, 1, WG_MEAN},
                                    {"4,6 b", 0, false, 0, WG_REDUCE_NONE},
                                    {"1,2,1,2,1,2,1,3", 0, false, 0, WG_MEAN}};

static const char *without_last(const char *spec, char *text)
{
    strcpy(text, spec);
    char *blank = strchr(text, ' '), *comma;
    if (blank) *blank = 0;
    comma = strrchr(text, ',');
    *(comma ? comma : text) = 0;
    return text;
}

static wg_tensor labels_of(sampler *s, const char *spec, int kind, int classes)
{
    char text[32];
    if (kind == 1) return wg_softmax(x_data(s, spec, -1, 1), -1);
    wg_tensor labels = x_i32(s, without_last(spec, text), 0, classes);
    if (kind < 2) return labels;
    wg_tensor ignored = wg_full(s->tape, WG_I32, WG_SCALAR, -100);
    return kind == 3 ? wg_expand(ignored, wg_shape_get(labels)) : wg_where(x_bool(s, text), labels, ignored);
}

static wg_tensor make_cross_entropy(sampler *s, const op_samples *row, int i)
{
    const ce_case *c = &entropies[i];
    wg_shape shape = shape_of_spec(c->logits);
    int classes = (int)shape.size[shape.rank - 1];
    wg_tensor logits = x_in(s, c->logits), labels = labels_of(s, c->logits, c->labels, classes);
    if (i == 0) return wg_cross_entropy(logits, labels);
    wg_cross_entropy_options options = wg_cross_entropy_defaults();
    if (c->weighted) {
        char text[24] = "";
        strcpy(text, strrchr(c->logits, ',') + 1);
        if (strchr(text, ' ')) *strchr(text, ' ') = 0;
        options.class_weights = x_data(s, text, 0.5, 2);
    }
    options.label_smoothing = c->smoothing;
    options.reduction = c->reduction;
    return wg_cross_entropy_with(logits, labels, options);
}

/* The labels are not differentiated by index; by probability they are. */
static wg_tensor make_soft_labels(sampler *s, const op_samples *row, int i)
{
    static const char *const specs[] = {"4,3",   "3",     "7,5",   "0,5",   "2,3,4",
                                        "5,7 t", "4,6 s", "4,6 f", "4,6 e", "1,1"};
    wg_tensor logits = x_in(s, specs[i % 10]), labels = x_range(s, specs[i % 10], 0.1, 0.9);
    wg_cross_entropy_options options = wg_cross_entropy_defaults();
    options.label_smoothing = i >= 10 ? 0.1 : 0;
    options.reduction = (wg_reduction)(i % 3);
    return i == 1 ? wg_cross_entropy_with(logits, wg_softmax(logits, -1), options)
                  : wg_cross_entropy_with(logits, labels, options);
}

static wg_tensor bad_cross_entropy(sampler *s, const op_samples *row, int i)
{
    wg_cross_entropy_options options = wg_cross_entropy_defaults();
    expect(s, i < 6 ? WG_ERR_SHAPE : i < 9 ? WG_ERR_ARGUMENT : WG_ERR_DTYPE, "cross_entropy");
    if (i == 0) expect(s, WG_ERR_SHAPE, "cross_entropy|[4, 3]|[5]");
    if (i == 1) expect(s, WG_ERR_SHAPE, "cross_entropy|[4, 3]|[4]|i32");
    wg_tensor logits = i == 9 ? x_bool(s, "4,3") : x_in(s, i == 2 ? "" : i == 3 ? "4,0" : "4,3");
    wg_tensor labels = i == 1    ? x_in(s, "4")
                       : i == 11 ? x_bool(s, "4")
                                 : x_i32(s,
                                         i == 0   ? "5"
                                         : i == 2 ? ""
                                                  : "4",
                                         0, 3);
    if (i == 4) options.class_weights = x_data(s, "4", 0.5, 1);
    if (i == 5) options.class_weights = x_data(s, "3,1", 0.5, 1);
    if (i == 6 || i == 7) options.label_smoothing = i == 6 ? -0.1 : NAN;
    if (i == 8) options.reduction = (wg_reduction)5;
    if (i == 10) options.class_weights = x_i32(s, "3", 1, 2);
    return wg_cross_entropy_with(logits, labels, options);
}

static wg_tensor make_lengths(sampler *s, const op_samples *row, int i)
{
    static const char *const specs[] = {"2,3,4",  "1,1,1",   "3,7,5",   "2,0,3",   "0,3,2",
                                        "50,4,3", "2,3,4 t", "2,3,4 s", "2,3,4 p", "2,3,4 f"};
    char labels[32], lengths[32];
    const char *spec = specs[i % 10];
    wg_shape shape = shape_of_spec(spec);
    without_last(without_last(spec, labels), lengths);
    wg_tensor logits = x_in(s, spec), wanted = x_i32(s, labels, 0, (int)shape.size[2]);
    return wg_cross_entropy_lengths(logits, wanted, x_i32(s, lengths, i < 10 ? 1 : 0, (int)shape.size[1] + 1));
}

static wg_tensor bad_lengths(sampler *s, const op_samples *row, int i)
{
    expect(s, WG_ERR_SHAPE, "cross_entropy_lengths");
    wg_tensor logits = x_in(s, i == 0 ? "2,4" : "2,3,4"), labels = x_i32(s,
                                                                         i == 1   ? "2"
                                                                         : i == 2 ? "2,4"
                                                                                  : "2,3",
                                                                         0, 4);
    if (i == 2) s->words = "2, 4";
    if (i == 3) labels = x_in(s, "2,3");
    if (i == 4) s->words = "length_mask";
    return wg_cross_entropy_lengths(logits, labels, i == 4 ? x_in(s, "2") : x_i32(s, "2", 0, 3));
}

/* ---- the ops behind it ---- */

static wg__cross_entropy_attr attr_of(sampler *s, int classes, double smoothing)
{
    return (wg__cross_entropy_attr){
        .ignore_index = -100, .classes = classes, .smoothing = smoothing, .dtype = (int32_t)s->dtype};
}

static wg_tensor make_cross_entropy_grad(sampler *s, const op_samples *row, int i)
{
    const ce_case *c = &entropies[i];
    char rows[32], classes[32];
    wg_shape shape = shape_of_spec(c->logits);
    int n = (int)shape.size[shape.rank - 1];
    wg_tensor logits = x_in(s, c->logits), labels = labels_of(s, c->logits, c->labels == 1 ? 0 : c->labels, n);
    const char *comma = strrchr(c->logits, ',');
    strcpy(classes, comma ? comma + 1 : c->logits);
    if (strchr(classes, ' ')) *strchr(classes, ' ') = 0;
    wg_tensor in[4] = {logits, labels, x_in(s, without_last(c->logits, rows)),
                       c->weighted ? x_data(s, classes, 0.5, 2) : WG_NONE};
    wg__cross_entropy_attr attr = attr_of(s, n, c->smoothing);
    return wg_record(op_named(row->name), in, 4, &attr, sizeof attr);
}

static wg_tensor bad_cross_entropy_grad(sampler *s, const op_samples *row, int i)
{
    wg_tensor labels = i == 0 ? x_in(s, "4") : x_i32(s, i == 1 ? "4,1" : "4", 0, 3);
    wg_tensor in[4] = {x_in(s, "4,3"), labels, x_in(s, i == 2 ? "3" : "4"),
                       i == 3 ? x_i32(s, "3", 1, 2) : x_in(s, i == 4 ? "4" : "3")};
    wg__cross_entropy_attr attr = attr_of(s, 3, 0);
    expect(s, i == 0 || i == 3 ? WG_ERR_DTYPE : WG_ERR_SHAPE, "cross_entropy_grad|[4, 3]");
    return wg_record(op_named(row->name), in, 4, &attr, sizeof attr);
}

static wg_tensor bad_of_labels(sampler *s, const op_samples *row, int i)
{
    wg_tensor in[2] = {i == 0   ? x_in(s, "4")
                       : i == 1 ? x_bool(s, "4")
                                : x_i32(s, "4", 0, 3),
                       i == 2 ? x_i32(s, "3", 1, 2)
                              : x_in(s, i == 3   ? "4"
                                        : i == 4 ? "1,3"
                                                 : "3")};
    wg__cross_entropy_attr attr = attr_of(s, 3, 0);
    expect(s, i < 3 ? WG_ERR_DTYPE : WG_ERR_SHAPE, row->name);
    return wg_record(op_named(row->name), in, 2, &attr, sizeof attr);
}

/* target_weight and label_scale: of labels and class weights. */
static wg_tensor make_of_labels(sampler *s, const op_samples *row, int i)
{
    const ce_case *c = &entropies[i];
    wg_shape shape = shape_of_spec(c->logits);
    int n = (int)shape.size[shape.rank - 1];
    wg_tensor labels = labels_of(s, c->logits, c->labels == 1 ? 0 : c->labels, n), weights = WG_NONE;
    double numbers[1030];
    for (int k = 0; k < n; k++) numbers[k] = 0.5 + k % 7 / 8.0;
    if (c->weighted) weights = x_list(s, WG_DIMS(n), numbers);
    wg__cross_entropy_attr attr = attr_of(s, n, c->smoothing);
    return wg_record(op_named(row->name), (wg_tensor[]){labels, weights}, 2, &attr, sizeof attr);
}

/* ---- losses by element ---- */

enum { MSE, HUBER, BCE, KL, NLL };

static const char *const pairs[][2] = {
    {"2,3", "2,3"},     {"", ""},           {"1", "1"},           {"7", "7"},
    {"1030", "1030"},   {"33,31", "33,31"}, {"2,3,4", "2,3,4"},   {"5,7 t", "5,7"},
    {"5,7", "5,7 t"},   {"4,6 s", "4,6 p"}, {"4,6 f", "4,6 e"},   {"4,6 o", "4,6 b"},
    {"4,6 p", "4,6 s"}, {"17 f", "17"},     {"513,3 t", "513,3"}, {"1,2,1,2,1,2,1,2", "1,2,1,2,1,2,1,2"},
    {"64", "64 p"},     {"2,3", "2,3"},     {"3,1", "3,1"},       {"1,3", "1,3"},
    {"0", "0"},         {"3,0", "3,0"}};

static wg_tensor loss(int op, wg_tensor x, wg_tensor t, wg_reduction reduction, int i)
{
    switch (op) {
    case MSE: return wg_mse(x, t, reduction);
    case HUBER: return wg_huber(x, t, i % 2 ? 1 : 0.3, reduction);
    case BCE: return wg_binary_cross_entropy(x, t, reduction);
    default: return wg_kl(x, t, reduction);
    }
}

static wg_tensor make_loss(sampler *s, const op_samples *row, int i)
{
    wg_tensor x = x_in(s, pairs[i][0]);
    wg_tensor t = row->op >= BCE ? x_range(s, pairs[i][1], 0.1, 0.9) : x_in(s, pairs[i][1]);
    if (row->op == MSE && i == 17) t = wg_tanh(x);
    return loss(row->op, x, t, i >= 20 ? (wg_reduction)(1 + i % 2) : (wg_reduction)(i % 3), i);
}

static wg_tensor bad_loss(sampler *s, const op_samples *row, int i)
{
    static const char *const target[] = {"3", "3,2", "2,1", "", "2,3", "2,3", "2,3"};
    static char words[48];
    strcpy(words, row->name);
    if (i == 0) strcat(words, "|[2, 3]|[3]");
    expect(s, i < 4 ? WG_ERR_SHAPE : i == 5 ? WG_ERR_DTYPE : WG_ERR_ARGUMENT, words);
    wg_tensor x = x_in(s, "2,3"), t = i == 5 ? x_i32(s, "2,3", 0, 2) : x_in(s, target[i]);
    if (i == 6) return wg_huber(x, t, 0, WG_MEAN);
    return loss(row->op, x, t, i == 4 ? (wg_reduction)3 : WG_MEAN, 0);
}

static wg_tensor make_nll(sampler *s, const op_samples *row, int i)
{
    static const char *const specs[] = {
        "4,3",   "3",     "1",     "7,5",   "0,5",   "2,0,5", "2,3,4", "515,2",           "3,1030", "50,65",
        "5,7 t", "4,6 s", "4,6 p", "4,6 f", "4,6 e", "4,6 b", "4,6 o", "1,2,1,2,1,2,1,3", "33,31",  "1,1"};
    char text[32];
    wg_shape shape = shape_of_spec(specs[i]);
    wg_tensor x = x_in(s, specs[i]),
              labels = x_i32(s, without_last(specs[i], text), 0, (int)shape.size[shape.rank - 1]);
    return wg_nll(i % 2 ? x : wg_log_softmax(x, -1), labels, i == 4 || i == 5 ? WG_SUM : (wg_reduction)(i % 3));
}

static wg_tensor bad_nll(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 4 ? WG_ERR_ARGUMENT : WG_ERR_SHAPE, i == 0 ? "nll|[4, 3]|[3]" : "nll");
    if (i == 5) expect(s, WG_ERR_DTYPE, "nll|bool");
    wg_tensor x = i == 5 ? x_bool(s, "4,3") : x_in(s, i == 1 ? "" : "4,3");
    wg_tensor labels = i == 2 ? x_in(s, "4") : x_i32(s, i == 0 ? "3" : i == 1 ? "" : i == 3 ? "4,3" : "4", 0, 3);
    return wg_nll(x, labels, i == 4 ? (wg_reduction)9 : WG_MEAN);
}

/* Weights, an ignored class and a reduction; one of the classes has the weight 0. */
static wg_tensor make_nll_with(sampler *s, const op_samples *row, int i)
{
    static const char *const specs[] = {"4,3",   "3",     "7,5",   "2,3,4", "515,2",
                                        "5,7 t", "4,6 s", "4,6 f", "0,5",   "2,1"};
    char text[32], classes[16];
    const char *spec = specs[i % COUNT(specs)];
    wg_shape shape = shape_of_spec(spec);
    const int n = (int)shape.size[shape.rank - 1];
    snprintf(classes, sizeof classes, "%d", n);
    wg_tensor x = x_in(s, spec), labels = x_i32(s, without_last(spec, text), 0, n);
    wg_cross_entropy_options o = wg_cross_entropy_defaults();
    if (i % 2) o.class_weights = wg_relu(x_data(s, classes, -0.2, 2));
    if (i % 3 == 1) o.ignore_index = i % 4;
    o.reduction = (wg_reduction)(i % 3);
    return wg_nll_with(x, labels, o);
}

static wg_tensor bad_nll_with(sampler *s, const op_samples *row, int i)
{
    expect(s, i < 2 ? WG_ERR_ARGUMENT : WG_ERR_SHAPE, "nll");
    if (i == 5) expect(s, WG_ERR_SHAPE, "class weights must be [3]");
    wg_cross_entropy_options o = wg_cross_entropy_defaults();
    if (i == 0) o.label_smoothing = 0.1;
    if (i == 1) o.reduction = (wg_reduction)3;
    wg_tensor x = x_in(s, i == 2 ? "" : i == 4 ? "4,0" : "4,3");
    if (i == 5) o.class_weights = x_data(s, "4", 0, 1);
    return wg_nll_with(x, x_i32(s, i == 3 ? "3" : "4", 0, 3), o);
}

/* ---- layer norm, dropout ---- */

typedef struct norm_case {
    const char *x, *weight, *bias;
} norm_case;

static const norm_case norms[] = {{"4,3", "3", "3"},
                                  {"3", "3", "3"},
                                  {"3", NULL, NULL},
                                  {"7,5", "5", NULL},
                                  {"7,5", NULL, "5"},
                                  {"0,5", "5", "5"},
                                  {"2,0,5", "5", "5"},
                                  {"2,3,4", "4", "4"},
                                  {"515,2", "2", "2"},
                                  {"3,1030", "1030", "1030"},
                                  {"50,65", "65", "65"},
                                  {"5,7 t", "7", "7"},
                                  {"4,6 s", "6 f", "6 s"},
                                  {"4,6 p", "6", "6 p"},
                                  {"4,6 f", NULL, NULL},
                                  {"4,6 e", "6 o", "6"},
                                  {"4,6 b", "6", "6 e"},
                                  {"4,6 o", "6", "6"},
                                  {"1,2,1,2,1,2,1,3", "3", "3"},
                                  {"33,31", "31", "31"},
                                  {"4,4,4", "4", "4"}};

static wg_tensor make_norm(sampler *s, const op_samples *row, int i)
{
    wg_tensor x = x_in(s, norms[i].x), w = norms[i].weight ? x_in(s, norms[i].weight) : WG_NONE;
    return wg_layer_norm(x, w, norms[i].bias ? x_in(s, norms[i].bias) : WG_NONE, i % 2 ? 1e-5 : 1e-2);
}

static wg_tensor make_norm_grad(sampler *s, const op_samples *row, int i)
{
    wg_tensor in[3] = {x_in(s, norms[i].x), x_in(s, norms[i].x),
                       norms[i].weight ? x_in(s, norms[i].weight) : WG_NONE};
    wg__norm_attr attr = {0.01, row->op == 0};
    return wg_record(op_named(row->name), in, 3, &attr, sizeof attr);
}

static wg_tensor bad_norm_grad(sampler *s, const op_samples *row, int i)
{
    const char *x = i == 0 ? "" : "4,3";
    wg_tensor in[3] = {i == 1 ? x_bool(s, x) : x_in(s, x), i == 3 ? x_i32(s, x, 0, 2) : x_in(s, i == 2 ? "3" : x),
                       x_in(s, i == 4 ? "4" : "3")};
    wg__norm_attr attr = {0.01, row->op == 0};
    expect(s, i % 2 ? WG_ERR_DTYPE : WG_ERR_SHAPE, row->name);
    return wg_record(op_named(row->name), in, 3, &attr, sizeof attr);
}

static wg_tensor bad_norm(sampler *s, const op_samples *row, int i)
{
    expect(s,
           i == 4   ? WG_ERR_ARGUMENT
           : i >= 5 ? WG_ERR_DTYPE
                    : WG_ERR_SHAPE,
           i == 0 ? "layer_norm|[4, 3]|[4]" : "layer_norm");
    wg_tensor x = i == 6 ? x_bool(s, "4,3") : x_in(s, i == 3 ? "" : "4,3");
    wg_tensor w = i == 5 ? x_i32(s, "3", 0, 2) : x_in(s, i == 0 ? "4" : i == 1 ? "1,3" : "3");
    return wg_layer_norm(x, w, x_in(s, i == 2 ? "2" : "3"), i == 4 ? -1 : 1e-5);
}

static wg_tensor make_dropout(sampler *s, const op_samples *row, int i)
{
    static const char *const specs[] = {
        "2,3",   "",        "1",     "7",     "1030",  "0",     "3,0",   "33,31",
        "5,7 t", "4,6 s",   "4,6 p", "4,6 f", "4,6 e", "4,6 b", "4,6 o", "1,2,1,2,1,2,1,2",
        "2,3,4", "513,3 t", "64",    "1,1"};
    return wg_dropout(x_in(s, specs[i]), i < 17 ? 0.05 * i : (i - 17) / 2.0);
}

static wg_tensor bad_dropout(sampler *s, const op_samples *row, int i)
{
    static const double p[] = {-0.1, 1.1, NAN, 0.5, INFINITY};
    expect(s, i == 3 ? WG_ERR_DTYPE : WG_ERR_ARGUMENT, "dropout");
    return wg_dropout(i == 3 ? x_bool(s, "2,3") : x_in(s, "2,3"), p[i]);
}

const op_samples samples_loss[] = {
    {.name = "cross_entropy",
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(entropies),
     .make = make_cross_entropy,
     .n_bad = 12,
     .bad = bad_cross_entropy},
    {.name = "cross_entropy", .flags = SAMPLE_SMOOTH, .n = 20, .make = make_soft_labels},
    {.name = "cross_entropy_lengths",
     .flags = SAMPLE_SMOOTH,
     .n = 20,
     .make = make_lengths,
     .n_bad = 5,
     .bad = bad_lengths},
    {.name = "cross_entropy_grad",
     .n_bad = 5,
     .bad = bad_cross_entropy_grad,
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(entropies),
     .make = make_cross_entropy_grad},
    {.name = "target_weight", .n_bad = 5, .bad = bad_of_labels, .n = COUNT(entropies), .make = make_of_labels},
    {.name = "label_scale", .n_bad = 5, .bad = bad_of_labels, .n = COUNT(entropies), .make = make_of_labels},
    {.name = "mse",
     .op = MSE,
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(pairs),
     .make = make_loss,
     .n_bad = 6,
     .bad = bad_loss},
    {.name = "huber", .op = HUBER, .n = COUNT(pairs), .make = make_loss, .n_bad = 7, .bad = bad_loss},
    {.name = "binary_cross_entropy",
     .op = BCE,
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(pairs),
     .make = make_loss,
     .n_bad = 6,
     .bad = bad_loss},
    {.name = "kl",
     .op = KL,
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(pairs),
     .make = make_loss,
     .n_bad = 6,
     .bad = bad_loss},
    {.name = "nll", .flags = SAMPLE_SMOOTH, .n = 20, .make = make_nll, .n_bad = 6, .bad = bad_nll},
    {.name = "nll_with",
     .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME | SAMPLE_NO_SPOIL,
     .n = 30,
     .make = make_nll_with,
     .n_bad = 6,
     .bad = bad_nll_with},
    {.name = "layer_norm",
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(norms),
     .make = make_norm,
     .n_bad = 7,
     .bad = bad_norm,
     .tolerance = 1e-4},
    {.name = "layer_norm_grad",
     .n_bad = 5,
     .bad = bad_norm_grad,
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(norms),
     .make = make_norm_grad,
     .tolerance = 1e-3},
    {.name = "rms_norm_grad",
     .op = 1,
     .n_bad = 5,
     .bad = bad_norm_grad,
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(norms),
     .make = make_norm_grad,
     .tolerance = 1e-3},
    {.name = "dropout", .flags = SAMPLE_SMOOTH, .n = 20, .make = make_dropout, .n_bad = 5, .bad = bad_dropout},
    {0}};
