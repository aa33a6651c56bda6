/* Is a sentence positive or negative? Five models of text compared.
 *
 *     sentiment                                     all models on three generated tasks
 *     sentiment --pos pos.txt --neg neg.txt         ... on two files, one sentence a line
 *
 * bow    bag of words: a multi-hot vector through a layer of ReLU units. It cannot see order: its outputs for "cold ice
 *        cream and warm pizza" and "warm ice cream and cold pizza" are equal in every bit.
 * cnn    embeddings, filters over 3, 4 and 5 words, the maximum over time (Kim 2014). It sees order within 5 words: in
 *        "the horse raced past the barn fell" it sees "horse" with "raced" and "barn" with "fell", never all of them.
 * rnn, lstm, lstm2   embeddings, Elman cells or one or two layers of LSTM, and the state after the last word.
 *
 * The sentences of a batch are padded to one length; padding has no effect in any model.
 *
 * The generated tasks. reviews: negations ("good , not bad", "bad , not good"). order: who did it, "BEATRIX KILLED
 * BILL" or "BILL KILLED BEATRIX". far: the same with five other words around each of the three, so that all windows of
 * five words are the same in both. Sentences come in pairs with (almost) the same bag of words; both sentences of a
 * pair are in the same part of the data.
 *
 * With files, sentences are shuffled by the seed. The last tenth is held out; the tenth before it chooses the epoch
 * whose held-out accuracy counts. Words that occur once are <unk>.
 *
 * Expected (default settings, accuracy on held-out sentences): order 0.500 for bow, which is chance, 1.00 for all
 * others; far 0.500 for bow and cnn, 1.00 for lstm; reviews about 0.75 for bow, above 0.95 for cnn and lstm. On Pang
 * and Lee's sentences (rt-polarity) 0.72 to 0.79 for bow, cnn and lstm; Kim reports 0.761 for such a cnn. PyTorch
 * (bench/peers/sentiment.py) with the same weights and batches, mean and standard error of seeds 1 to 3: bow 0.742
 * (0.011), here 0.739 (0.010); lstm 0.750 (0.006), here 0.753 (0.004). */
#include "sentiment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILTERS = 3, FIRST_FILTER = 3, MODELS = 5, TASKS = 3 };

typedef struct settings {
    const char *model, *task, *pos, *neg, *sentence, *init_out, *order_out, *export;
    int64_t sentences, epochs, patience, batch, embedding, hidden, filters, seed, threads;
    double dropout, lr;
    bool tiny;
} settings;

/* ---- the models ---- */

static const char *const model_names[MODELS + 2] = {"bow", "cnn", "rnn", "lstm", "lstm2", "all", NULL};
enum { BOW, CNN, RNN, LSTM, LSTM2 };

typedef struct model {
    int kind;
    int64_t vocabulary;
    double dropout;
    wg_params *params;
    wg_linear_layer bag; /* bow */
    wg_embedding_layer embedding;
    wg_conv_layer conv[FILTERS]; /* cnn */
    wg_rnn rnn;
    wg_linear_layer head;
} model;

/* Sentences as tensors. */
typedef struct batch {
    sequence_batch text; /* padding is WORD_PAD */
    wg_tensor labels;    /* i32 [n] */
    wg_tensor bag;       /* bow: f32 [n, vocabulary], 1 for words that occur */
} batch;

/* Scales PyTorch's N(0, 1) to the size of Kim's U(-0.25, 0.25). */
static void scale(wg_param *param, float factor)
{
    float *number = wg_param_write_begin(param);
    for (int64_t i = 0; number && i < wg_param_numel(param); i++) number[i] *= factor;
    wg_param_write_end(param);
}

static model model_new(int kind, int64_t vocabulary, const settings *s)
{
    model m = {.kind = kind, .vocabulary = vocabulary, .dropout = s->dropout};
    int64_t features = s->hidden;
    m.params = wg_params_new_with(WG_F32, (wg_allocator){0}, (uint64_t)s->seed);
    if (kind != BOW) {
        wg_embedding_init(&m.embedding, m.params, "embedding", vocabulary, s->embedding, WORD_PAD);
        scale(m.embedding.weight, 0.15f);
    }
    if (kind == BOW) wg_linear_init(&m.bag, m.params, "bag", vocabulary, s->hidden, wg_linear_defaults());
    if (kind == CNN) {
        features = FILTERS * s->filters;
        for (int i = 0; i < FILTERS; i++) {
            wg_conv_layer_options options = wg_conv_layer_defaults();
            int64_t width = FIRST_FILTER + i;
            char name[16];
            snprintf(name, sizeof name, "conv%d", FIRST_FILTER + i);
            options.axes = 1;
            options.conv.before[0] = options.conv.after[0] = width - 1; /* every window with a word */
            wg_conv_init(&m.conv[i], m.params, name, s->embedding, s->filters, WG_DIMS(width), options);
        }
    }
    if (kind >= RNN) {
        wg_rnn_options options = wg_rnn_defaults();
        options.cell = kind == RNN ? WG_RNN_TANH : WG_LSTM;
        options.layers = kind == LSTM2 ? 2 : 1;
        options.dropout = s->dropout;
        if (kind != RNN) options.forget_bias = 1;
        wg_rnn_init(&m.rnn, m.params, "rnn", s->embedding, s->hidden, options);
    }
    wg_linear_init(&m.head, m.params, "head", features, CLASSES, wg_linear_defaults());
    if (wg_params_status(m.params) != WG_OK) app_fail("%s", wg_params_message(m.params));
    return m;
}

static wg_tensor bag_of_words(const model *m, const batch *b) { return wg_relu(wg_linear_apply(&m->bag, b->bag)); }

/* The maximum of each filter over the sentence: [B, FILTERS filters]. */
static wg_tensor text_cnn(const model *m, const batch *b)
{
    wg_tensor x = wg_transpose(wg_embedding_apply(&m->embedding, b->text.tokens), 1, 2); /* [B, embedding, T] */
    wg_tensor best[FILTERS], zero = wg_scalar(x.tape, WG_F32, 0);
    for (int i = 0; i < FILTERS; i++) {
        int64_t more = FIRST_FILTER + i - 1;
        wg_tensor y = wg_relu(wg_conv_apply(&m->conv[i], x)); /* [B, filters, T + more] */
        wg_tensor holds_word = wg_length_mask(wg_add_scalar(b->text.lengths, (double)more), b->text.T + more);
        best[i] = wg_max(wg_where(wg_unsqueeze(holds_word, 1), y, zero), WG_AXES(2), false);
    }
    return wg_concat(best, FILTERS, 1);
}

/* The state of the top layer after the last word of each sentence: [B, hidden]. */
static wg_tensor last_state(const model *m, const batch *b)
{
    wg_tensor all = wg_embedding_apply(&m->embedding, wg_t(b->text.tokens)), x[MOST_WORDS + 8], h[MOST_WORDS + 8];
    for (int64_t t = 0; t < b->text.T; t++) x[t] = wg_select(all, 0, t);
    wg_rnn_state state = wg_rnn_zero_state(&m->rnn, b->text.tokens.tape, b->text.n);
    wg_rnn_unroll(&m->rnn, x, (int)b->text.T, b->text.lengths, &state, h);
    return state.h[m->rnn.options.layers - 1];
}

static wg_tensor predict(const model *m, const batch *b)
{
    wg_tensor features = m->kind == BOW ? bag_of_words(m, b) : m->kind == CNN ? text_cnn(m, b) : last_state(m, b);
    return wg_linear_apply(&m->head, wg_dropout(features, m->dropout));
}

/* ---- batches ---- */

static wg_tensor multi_hot(const model *m, wg_tape *tape, const sequences *s, const int64_t *sample, int64_t n)
{
    float *bag = app_room(n * m->vocabulary, sizeof *bag);
    for (int64_t i = 0; i < n; i++)
        for (int32_t k = 0; k < s->lengths[sample[i]]; k++)
            bag[i * m->vocabulary + s->tokens[sample[i] * s->width + k]] = 1;
    wg_tensor tensor = wg_data(tape, WG_F32, WG_DIMS(n, m->vocabulary), bag);
    free(bag);
    return tensor;
}

/* n samples, with this additional padding. */
static batch batch_of(const model *m, wg_tape *tape, const corpus *c, const int64_t *sample, int64_t n,
                      int64_t padding)
{
    batch b = {.text = sequences_batch(&c->text, tape, sample, n, padding)};
    int32_t *labels = app_room(n, sizeof *labels);
    for (int64_t i = 0; i < n; i++) labels[i] = c->labels[sample[i]];
    b.labels = wg_data(tape, WG_I32, WG_DIMS(n), labels);
    if (m->kind == BOW) b.bag = multi_hot(m, tape, &c->text, sample, n);
    free(labels);
    return b;
}

/* ---- training ---- */

typedef struct result {
    double accuracy, seconds; /* on held-out samples, at the best validation accuracy */
    int64_t epoch;
} result;

/* A model that learns from a corpus. */
typedef struct learner {
    const settings *s;
    model *model;
    const corpus *corpus;
    double best; /* validation accuracy */
    int64_t epoch;
    result result;
} learner;

static wg_tensor loss_of(void *context, const wg_fit_batch *x)
{
    learner *l = context;
    batch b = batch_of(l->model, x->tape, l->corpus, x->sample, x->n, 0);
    return wg_cross_entropy(predict(l->model, &b), b.labels);
}

/* The accuracy on samples first .. last - 1. */
static double accuracy(wg_tape *tape, const model *m, const corpus *c, int64_t batch_size, int64_t first,
                       int64_t last)
{
    double right = 0;
    bool training = wg_set_training(tape, false);
    for (int64_t i = first; i < last; i += batch_size) {
        int64_t n = last - i < batch_size ? last - i : batch_size, *samples = app_room(n, sizeof *samples);
        for (int64_t k = 0; k < n; k++) samples[k] = i + k;
        wg_no_grad_begin(tape);
        batch b = batch_of(m, tape, c, samples, n, 0);
        wg_tensor hit = wg_equal(wg_argmax(predict(m, &b), -1, false), b.labels);
        right += wg_item(wg_sum_all(wg_cast(hit, WG_F32)));
        wg_no_grad_end(tape);
        app_end_step(tape);
        free(samples);
    }
    wg_set_training(tape, training);
    return right / (double)(last - first);
}

/* The accuracy on validation samples; where it is the best, those that are held out are tested. */
static double validate(void *context, wg_tape *tape)
{
    learner *l = context;
    const corpus *c = l->corpus;
    const double chosen = accuracy(tape, l->model, c, l->s->batch, c->train, c->n - c->held);
    l->epoch++;
    if (chosen > l->best) {
        l->best = chosen;
        l->result.accuracy = accuracy(tape, l->model, c, l->s->batch, c->n - c->held, c->n);
        l->result.epoch = l->epoch;
    }
    return chosen;
}

static bool is_perfect(void *context) { return wg_signal_noted(NULL) || ((const learner *)context)->best >= 1; }

static result train(const settings *s, wg_tape *tape, model *m, const corpus *c, const char *name)
{
    learner l = {.s = s, .model = m, .corpus = c, .best = -1};
    wg_adam_options adam = wg_adam_defaults();
    adam.lr = s->lr;
    wg_fit_options fit = wg_fit_defaults();
    fit.params = m->params;
    fit.optimizer = wg_adam_new(m->params, adam);
    fit.loss = loss_of, fit.validate = validate, fit.stop = is_perfect, fit.context = &l;
    fit.samples = c->train, fit.lengths = c->text.lengths;
    fit.batch = s->batch, fit.epochs = s->epochs;
    fit.seed = (uint64_t)s->seed;
    fit.clip = 5;
    fit.higher = true, fit.patience = s->patience;
    const double begin = wg_seconds();
    app_fit(fit, tape, (wg_progress){.unit = "sentences", .units = (double)s->batch, .label = name});
    l.result.seconds = wg_seconds() - begin;
    wg_optimizer_free(fit.optimizer);
    return l.result;
}

/* ---- export; single sentences ---- */

static void record_model(void *context, wg_tape *tape, int64_t n, wg_tensor *x, wg_tensor *y)
{
    const sequence_exported *e = context;
    const model *m = e->model;
    const bool bow = m->kind == BOW;
    batch b = {0};
    if (bow) x[0] = b.bag = app_export_floats(tape, WG_DIMS(n, m->vocabulary));
    if (!bow) b.text = sequences_export(tape, n, e->T, &m->embedding, x);
    y[0] = predict(m, &b);
}

static void export_model(const model *m, const corpus *c, const char *path, wg_tape *tape)
{
    const bool bow = m->kind == BOW;
    const char *const in[] = {bow ? "bag" : "words", "lengths"}, *const out[] = {"logits"};
    sequence_exported e = {m, sequences_longest(&c->text)};
    const app_model program = {in, out, bow ? 1 : 2, 1, record_model, &e};
    app_export(path, tape, &program);
}

/* The logits of one sample. */
static void logits_of(wg_tape *tape, const model *m, const corpus *c, int64_t sample, int64_t padding,
                      float out[CLASSES])
{
    bool training = wg_set_training(tape, false);
    wg_no_grad_begin(tape);
    batch b = batch_of(m, tape, c, &sample, 1, padding);
    wg_status status = wg_read(predict(m, &b), out, CLASSES * sizeof *out);
    wg_no_grad_end(tape);
    wg_set_training(tape, training);
    app_end_step(tape);
    if (status != WG_OK) app_fail("cannot read the logits");
}

/* The largest difference between the logits of two samples. */
static double difference(wg_tape *tape, const model *m, const corpus *c, int64_t a, int64_t b, int64_t padding)
{
    float x[CLASSES], y[CLASSES];
    double largest = 0;
    logits_of(tape, m, c, a, 0, x);
    logits_of(tape, m, c, b, padding, y);
    for (int i = 0; i < CLASSES; i++) largest = fmax(largest, fabs((double)x[i] - (double)y[i]));
    return largest;
}

/* Two sentences with the same words, read by untrained models. */
static void show_order(wg_tape *tape, const settings *s, double other_order[MODELS], double *padded)
{
    static const char lines[] = "cold ice cream and warm pizza\nwarm ice cream and cold pizza\n";
    corpus c = corpus_look_at(lines, 0, NULL);
    printf("%slargest difference between their logits, without training, and by padding\n", lines);
    *padded = 0;
    for (int kind = 0; kind < MODELS; kind++) {
        model m = model_new(kind, c.dictionary.size, s);
        other_order[kind] = difference(tape, &m, &c, 0, 1, 0);
        double change = difference(tape, &m, &c, 0, 0, 7);
        *padded = fmax(*padded, change);
        printf("%-6s %-10.3g %.3g\n", model_names[kind], other_order[kind], change);
        wg_params_free(m.params);
    }
    printf("\n");
    corpus_fini(&c);
}

static void classify(wg_tape *tape, const model *m, const corpus *c, const char *sentence)
{
    float logits[CLASSES];
    corpus one = corpus_look_at(sentence, c->task == &task_files ? WORDS_LOWER : 0, &c->dictionary);
    logits_of(tape, m, &one, 0, 0, logits);
    int best = logits[1] > logits[0];
    printf("%s: \"", model_names[m->kind]);
    app_print(sentence);
    printf("\": %s, probability %.3f\n", c->task->labels[best],
           1 / (1 + exp((double)(logits[1 - best] - logits[best]))));
    corpus_fini(&one);
}

/* ---- the program ---- */

static void check_sentence(const corpus *c, const char *sentence)
{
    corpus one = corpus_look_at(sentence, c->task == &task_files ? WORDS_LOWER : 0, &c->dictionary);
    bool known = false;
    for (int64_t i = 0; one.n == 1 && i < one.text.lengths[0]; i++) known |= one.text.tokens[i] != WORD_UNKNOWN;
    if (one.n != 1 || one.text.lengths[0] == 0) app_usage("--sentence: one line with a word in it");
    if (!known) app_usage("--sentence: none of its words has been seen in training");
    corpus_fini(&one);
}

/* Defaults that depend on the task. */
static void choose_sizes(settings *s)
{
    bool big = s->pos, tiny = s->tiny;
    if (!s->embedding) s->embedding = big ? 128 : tiny ? 16 : 32;
    if (!s->hidden) s->hidden = big ? 128 : tiny ? 16 : 32;
    if (!s->filters) s->filters = big ? 100 : tiny ? 8 : 16;
    if (!s->sentences) s->sentences = tiny ? 600 : 3000;
    if (!s->batch) s->batch = tiny ? 20 : 50;
    if (s->dropout < 0) s->dropout = big ? 0.5 : tiny ? 0 : 0.1;
    if (s->lr <= 0) s->lr = big ? 1e-3 : tiny ? 2e-2 : 5e-3;
}

static void check_settings(const settings *s, bool one_model, bool one_task)
{
    if (!s->pos != !s->neg) app_usage("--pos and --neg are given together");
    if (s->sentence && !one_task) app_usage("--sentence needs a --task, or files");
    if ((s->init_out || s->order_out || s->export) && !(one_model && one_task))
        app_usage("--init-out, --order-out and --export need one --model and one --task, or files");
    if (s->export) app_check_place(s->export);
}

/* The models and tasks to train. */
typedef struct plan {
    const task *tasks[TASKS];
    int n_tasks, first, last; /* first and last kind of model */
} plan;

static plan choose(const settings *s)
{
    plan p = {{&task_reviews, &task_order, &task_far}, TASKS, 0, MODELS - 1};
    bool one_model = strcmp(s->model, "all") != 0, one_task = s->pos || strcmp(s->task, "all") != 0;
    check_settings(s, one_model, one_task);
    for (int k = 0; one_task && k < TASKS; k++)
        if (strcmp(p.tasks[k]->name, s->task) == 0) p.tasks[0] = p.tasks[k];
    if (s->pos) p.tasks[0] = &task_files;
    if (one_task) p.n_tasks = 1;
    for (int kind = 0; one_model && kind < MODELS; kind++)
        if (strcmp(model_names[kind], s->model) == 0) p.first = p.last = kind;
    return p;
}

static void run(const settings *s, wg_tape *tape, const plan *p, result r[MODELS][TASKS])
{
    corpus c[TASKS];
    char label[32];
    for (int k = 0; k < p->n_tasks; k++) {
        c[k] = p->tasks[k] == &task_files ? corpus_read(s->neg, s->pos, (uint64_t)s->seed)
                                          : corpus_generate(p->tasks[k], s->sentences, (uint64_t)s->seed);
        if (s->sentence) check_sentence(&c[k], s->sentence);
        if (s->order_out) write_order_file(s->order_out, &c[k], s->epochs, s->batch, s->seed);
    }
    for (int kind = p->first; kind <= p->last; kind++)
        for (int k = 0; k < p->n_tasks; k++) {
            model m = model_new(kind, c[k].dictionary.size, s);
            snprintf(label, sizeof label, "%s, %s", model_names[kind], p->tasks[k]->name);
            if (s->init_out) app_save(s->init_out, m.params, 0, s->seed);
            r[kind][k] = train(s, tape, &m, &c[k], label);
            if (s->sentence) classify(tape, &m, &c[k], s->sentence);
            if (s->export) export_model(&m, &c[k], s->export, tape);
            wg_params_free(m.params);
        }
    for (int k = 0; k < p->n_tasks; k++) {
        printf("%s: %lld sentences to learn from, %lld held out, %d words\n", c[k].task->name,
               (long long)c[k].train, (long long)c[k].held, (int)c[k].dictionary.size - WORD_FIRST);
        corpus_fini(&c[k]);
    }
}

static void print_table(const plan *p, result r[MODELS][TASKS])
{
    printf("accuracy on held-out sentences, epoch and seconds\n%-6s", "");
    for (int k = 0; k < p->n_tasks; k++) printf("  %-20s", p->tasks[k]->name);
    for (int kind = p->first; kind <= p->last; kind++) {
        printf("\n%-6s", model_names[kind]);
        for (int k = 0; k < p->n_tasks; k++)
            printf("  %.3f %4lld %6.1f s  ", r[kind][k].accuracy, (long long)r[kind][k].epoch, r[kind][k].seconds);
    }
    printf("\n");
}

static void print_results(wg_tape *tape, const settings *s, const plan *p, result r[MODELS][TASKS])
{
    double other_order[MODELS], padded;
    show_order(tape, s, other_order, &padded);
    print_table(p, r);
    for (int k = 0; k < p->n_tasks; k++)
        for (int kind = p->first; kind <= p->last; kind++)
            app_result("%s %s: %.3f", p->tasks[k]->name, model_names[kind], r[kind][k].accuracy);
    for (int kind = 0; kind < MODELS; kind++)
        app_result("ice cream %s: %.3g", model_names[kind], other_order[kind]);
    app_result("padding: %.3g", padded);
}

int main(int argc, char **argv)
{
    static const char *const task_names[] = {"all", "reviews", "order", "far", NULL};
    settings s = {.model = "all", .task = "all", .epochs = 12, .patience = 4, .threads = 1, .dropout = -1};
    app_option options[] = {
        {APP_CHOICE, "model", &s.model, "NAME", "which", .choices = model_names},
        {APP_CHOICE, "task", &s.task, "NAME", "which generated task", .choices = task_names},
        {APP_TEXT, "pos", &s.pos, "FILE", "positive sentences, one per line; UTF-8 or ISO-8859-1"},
        {APP_TEXT, "neg", &s.neg, "FILE", "negative sentences"},
        {APP_TEXT, "sentence", &s.sentence, "TEXT", "classify this sentence"},
        {APP_INT, "sentences", &s.sentences, "N", "to generate; 0: 3000", 0, 1e6},
        {APP_INT, "epochs", &s.epochs, "N", "at most", 1, 1e4},
        {APP_INT, "patience", &s.patience, "N", "stop after N epochs without an improvement", 1, 1e4},
        {APP_INT, "batch", &s.batch, "N", "sentences per step; 0: 50", 0, 4096},
        {APP_INT, "embedding", &s.embedding, "N", "size of the word embeddings; 0: 32, for files 128", 0, 4096},
        {APP_INT, "hidden", &s.hidden, "N", "units of a layer; 0: 32, for files 128", 0, 4096},
        {APP_INT, "filters", &s.filters, "N", "of each width; 0: 16, for files 100", 0, 4096},
        {APP_REAL, "dropout", &s.dropout, "X", "before the last layer; -1: 0.1, for files 0.5", -1, 0.95},
        {APP_REAL, "lr", &s.lr, "X", "Adam's learning rate; 0: 5e-3, for files 1e-3", 0, 10},
        {APP_TEXT, "init-out", &s.init_out, "FILE", "write the initial weights"},
        {APP_TEXT, "order-out", &s.order_out, "FILE", "write the data and the order of the batches"},
        APP_EXPORT(&s.export),
        {APP_FLAG, "tiny", &s.tiny, NULL, "600 sentences, small models"},
        {APP_INT, "seed", &s.seed, "N", "of data, weights, order and dropout", 0, 9e18},
        APP_THREADS(&s.threads),
        {APP_END}};
    app_name("sentiment");
    app_parse(argc, argv, "sentiment [options]",
              "Is a sentence positive or negative? Compares a bag of words, a convolution and recurrent nets.\n"
              "Expected: bow is at chance on order and far, cnn on far; lstm has 1.00 on both, above 0.95 on "
              "reviews;\n0.72 to 0.79 on rt-polarity.",
              options);
    choose_sizes(&s);
    const plan p = choose(&s);
    wg_pool *pool;
    wg_tape *tape = app_tape_new(s.threads, s.seed, NULL, &pool);
    wg_signal_catch();
    static result r[MODELS][TASKS];
    run(&s, tape, &p, r);
    print_results(tape, &s, &p, r);
    wg_tape_free(tape);
    wg_pool_free(pool);
    return app_end();
}
