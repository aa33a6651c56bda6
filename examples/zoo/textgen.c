/* Writes text, character by character: the pretrained network of textgenrnn (Woolf; MIT).
 *
 * * textgen --temperature 0.5
 *
 * * The last 40 characters pass through an embedding and two LSTMs of 128 units; attention with one learned vector
 * takes the average over time of all three, from which a linear layer predicts the next character. The weights are
 * Keras' HDF5, as CuDNNLSTM left them: its kernels are the one layout that no row of a map expresses, so that they are
 * copied by hand.
 *
 * * --tune trains it on Pride and Prejudice. Expected: the loss on its last tenth falls by at least 0.1 nats. */
#include "own.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHARACTERS = 465, EMBEDDING = 100, UNITS = 128, ALL = EMBEDDING + 2 * UNITS, WINDOW = 40, BATCH = 32 };

typedef struct net {
    wg_params *params;
    wg_embedding_layer embedding;
    wg_rnn rnn[2];
    wg_linear_layer attention, output;
    wg_tape *tape;
    char characters[CHARACTERS][8]; /* in UTF-8; 0 is padding */
    float *results;                 /* of run */
} net;

/* ---- loading ---- */

/* CuDNN's kernel[in, 4 H]: the block of a gate holds, row by row, the gate's matrix [H, in]. */
static void load_kernel(const wg_safetensors *file, const char *name, int64_t in, wg_param *param)
{
    wg_shape shape = WG_DIMS(in, 4 * UNITS);
    float *kernel = own_read(file, name, WG_F32, &shape), *weight = wg_param_write_begin(param);
    for (int64_t i = 0; i < 4 * UNITS * in; i++) {
        const int64_t gate = i / (UNITS * in), k = i % (UNITS * in);
        weight[i] = kernel[k / UNITS * 4 * UNITS + gate * UNITS + k % UNITS];
    }
    wg_param_write_end(param);
    free(kernel);
}

static void load_kernels(net *m, const char *path)
{
    wg_error error = {0};
    wg_safetensors *file = wg_safetensors_open(path, &error);
    if (!file) app_fail("%s", error.text);
    load_kernel(file, "rnn_1/rnn_1/kernel:0", EMBEDDING, m->rnn[0].cell[0].weight_ih);
    load_kernel(file, "rnn_1/rnn_1/recurrent_kernel:0", UNITS, m->rnn[0].cell[0].weight_hh);
    load_kernel(file, "rnn_2/rnn_2/kernel:0", UNITS, m->rnn[1].cell[0].weight_ih);
    load_kernel(file, "rnn_2/rnn_2/recurrent_kernel:0", UNITS, m->rnn[1].cell[0].weight_hh);
    wg_safetensors_close(file);
}

/* Only what load_kernels loads may be missing. */
static bool only_kernels(void *context, const wg_difference *difference)
{
    return difference->kind == WG_MISSING && strstr(difference->name, ".weight_");
}

/* The dictionary is JSON, {"a": 7, "\"": 75, ...}. */
static void load_characters(net *m, const char *path)
{
    char text[1 << 14];
    FILE *file = fopen(path, "rb");
    text[file ? fread(text, 1, sizeof text - 1, file) : 0] = 0; /* no wg_text: one of the characters is DEL */
    if (file) fclose(file);
    for (const char *p = text; (p = strchr(p, '"'));) {
        char word[8];
        size_t n = 0;
        for (p++; *p && *p != '"' && n < sizeof word - 1; p++) {
            const bool escaped = *p == '\\' && p[1];
            if (escaped) p++;
            word[n++] = escaped && *p == 'n'   ? '\n'
                        : escaped && *p == 't' ? '\t'
                        : escaped && *p == 'r' ? '\r'
                                               : *p;
        }
        word[n] = 0;
        char *end = NULL;
        const long index = strncmp(p, "\": ", 3) == 0 ? strtol(p + 3, &end, 10) : 0;
        if (index < 1 || index >= CHARACTERS) app_fail("%s: no dictionary of %d characters", path, CHARACTERS);
        memcpy(m->characters[index], word, n + 1);
        p = end;
    }
}

static void net_init(net *m, const char *path)
{
    static const wg_map_row map[] = {
        {.from = "embedding/embedding/embeddings:0", .to = "embedding.weight"},
        {.from = "rnn_1/rnn_1/bias:0", .to = "rnn_1.bias_ih_l0", .rows = 4 * UNITS},
        {.from = "rnn_1/rnn_1/bias:0", .to = "rnn_1.bias_hh_l0", .take = 4 * UNITS},
        {.from = "rnn_2/rnn_2/bias:0", .to = "rnn_2.bias_ih_l0", .rows = 4 * UNITS},
        {.from = "rnn_2/rnn_2/bias:0", .to = "rnn_2.bias_hh_l0", .take = 4 * UNITS},
        {.from = "rnn_*kernel:0"}, /* see load_kernels */
        {.from = "attention/attention/attention_W:0", .to = "attention.weight", .axes = "io->oi"},
        {.from = "output/output/kernel:0", .to = "output.weight", .axes = "io->oi"},
        {.from = "output/output/bias:0", .to = "output.bias"}};
    wg_rnn_options lstm = wg_rnn_defaults();
    wg_linear_options vector = wg_linear_defaults();
    lstm.cell = WG_LSTM;
    vector.bias = false;
    m->params = wg_params_new(WG_F32);
    wg_embedding_init(&m->embedding, m->params, "embedding", CHARACTERS, EMBEDDING, -1);
    wg_rnn_init(&m->rnn[0], m->params, "rnn_1", EMBEDDING, UNITS, lstm);
    wg_rnn_init(&m->rnn[1], m->params, "rnn_2", UNITS, UNITS, lstm);
    wg_linear_init(&m->attention, m->params, "attention", ALL, 1, vector);
    wg_linear_init(&m->output, m->params, "output", ALL, CHARACTERS, wg_linear_defaults());
    own_load(path, m->params, map, sizeof map / sizeof *map, only_kernels);
    load_kernels(m, path);
}

/* ---- the model ---- */

/* index[40, B] -> logits [B, 465]. */
static wg_tensor apply(const net *m, wg_tensor index)
{
    wg_tensor x[WINDOW], first[WINDOW], second[WINDOW], all[WINDOW];
    wg_tensor embedded = wg_embedding_apply(&m->embedding, index);
    for (int t = 0; t < WINDOW; t++) x[t] = wg_select(embedded, 0, t);
    wg_rnn_state state = wg_rnn_zero_state(&m->rnn[0], m->tape, wg_size(index, 1));
    wg_rnn_unroll(&m->rnn[0], x, WINDOW, WG_NONE, &state, first);
    state = wg_rnn_zero_state(&m->rnn[1], m->tape, wg_size(index, 1));
    wg_rnn_unroll(&m->rnn[1], first, WINDOW, WG_NONE, &state, second);
    for (int t = 0; t < WINDOW; t++) all[t] = wg_concat((wg_tensor[]){x[t], first[t], second[t]}, 3, 1);
    wg_tensor h = wg_stack(all, WINDOW, 1); /* [B, 40, 356] */
    wg_tensor weights = wg_softmax(wg_linear_apply(&m->attention, h), 1);
    return wg_linear_apply(&m->output, wg_sum(wg_mul(h, weights), WG_AXES(1), false));
}

/* ---- text ---- */

/* The number of the character that begins there, and its length; of one that the dictionary does not have a blank's. */
static int32_t character_at(const net *m, const char *text, size_t *n)
{
    int32_t blank = 0;
    *n = 1;
    while ((text[*n] & 0xc0) == 0x80) ++*n;
    for (int32_t i = 1; i < CHARACTERS; i++) {
        if (strlen(m->characters[i]) == *n && memcmp(m->characters[i], text, *n) == 0) return i;
        if (strcmp(m->characters[i], " ") == 0) blank = i;
    }
    return blank;
}

static int32_t pick(const float *logits, double temperature, uint64_t *random)
{
    double sum = 0, largest = -HUGE_VAL;
    int32_t i = 1;
    for (int k = 1; k < CHARACTERS; k++) largest = logits[k] > largest ? logits[k] : largest;
    for (int k = 1; k < CHARACTERS; k++) sum += exp((logits[k] - largest) / temperature);
    double left = sum * (double)app_draw(random, 1 << 30) / (1 << 30);
    for (; i < CHARACTERS - 1; i++)
        if ((left -= exp((logits[i] - largest) / temperature)) < 0) break;
    return i;
}

/* A text begins with the character that ends one, "<s>". */
static void generate(net *m, const char *prefix, int64_t length, double temperature, int64_t seed)
{
    int32_t window[WINDOW] = {0};
    float logits[CHARACTERS];
    uint64_t random = (uint64_t)seed;
    size_t n = 0;
    int32_t begin = 0;
    for (int32_t i = 1; i < CHARACTERS; i++)
        if (strcmp(m->characters[i], "<s>") == 0) begin = i;
    window[WINDOW - 1] = begin;
    for (const char *p = prefix; *p; p += n) {
        memmove(window, window + 1, sizeof window - sizeof *window);
        window[WINDOW - 1] = character_at(m, p, &n);
    }
    app_print(prefix);
    for (int64_t i = 0; i < length; i++) {
        wg_tensor y = apply(m, wg_data(m->tape, WG_I32, WG_DIMS(WINDOW, 1), window));
        if (wg_read(y, logits, sizeof logits) != WG_OK) app_fail("%s", wg_tape_message(m->tape));
        app_end_step(m->tape);
        const int32_t next = pick(logits, temperature, &random);
        if (next == begin) break;
        app_print(m->characters[next]);
        memmove(window, window + 1, sizeof window - sizeof *window);
        window[WINDOW - 1] = next;
    }
    putchar('\n');
}

/* ---- training ---- */

typedef struct novel {
    int32_t *index;
    int64_t n;
} novel;

static novel read_novel(const net *m, const char *path)
{
    wg_text text;
    wg_error error = {0};
    if (wg_text_read(path, &text, &error) != WG_OK) app_fail("%s", error.text);
    novel book = {.index = app_room((int64_t)text.size + 1, sizeof *book.index)};
    size_t n = 0;
    for (const char *p = text.bytes; *p; p += n) book.index[book.n++] = character_at(m, p, &n);
    wg_text_fini(&text);
    if (book.n < 100 * WINDOW) app_fail("%s: too short", path);
    return book;
}

/* The loss of a batch whose windows begin at `at`. */
static wg_tensor loss_of(const net *m, const novel *book, const int64_t at[BATCH])
{
    int32_t index[WINDOW][BATCH], next[BATCH];
    for (int b = 0; b < BATCH; b++) {
        for (int t = 0; t < WINDOW; t++) index[t][b] = book->index[at[b] + t];
        next[b] = book->index[at[b] + WINDOW];
    }
    return wg_cross_entropy(apply(m, wg_data(m->tape, WG_I32, WG_DIMS(WINDOW, BATCH), index)),
                            wg_data(m->tape, WG_I32, WG_DIMS(BATCH), next));
}

/* Of 16 batches spread over the last tenth. */
static double validate(const net *m, const novel *book)
{
    enum { TIMES = 16 };
    double sum = 0;
    const int64_t first = book->n * 9 / 10, room = book->n - first - WINDOW - 1;
    for (int i = 0; i < TIMES; i++) {
        int64_t at[BATCH];
        for (int b = 0; b < BATCH; b++) at[b] = first + (i * BATCH + b) * room / (TIMES * BATCH);
        sum += wg_item(loss_of(m, book, at)) / TIMES;
        app_end_step(m->tape);
    }
    return sum;
}

static void tune(net *m, const char *path, int64_t steps, int64_t seed)
{
    novel book = read_novel(m, path);
    uint64_t random = (uint64_t)seed;
    const double before = validate(m, &book);
    wg_adam_options adam = wg_adam_defaults();
    adam.lr = 1e-3;
    wg_optimizer *optimizer = wg_adam_new(m->params, adam);
    if (!optimizer) app_fail("%s", wg_params_message(m->params));
    for (int64_t step = 0; step < steps; step++) {
        int64_t at[BATCH];
        for (int b = 0; b < BATCH; b++) at[b] = app_draw(&random, book.n * 9 / 10 - WINDOW - 1);
        wg_optimizer_set_lr(optimizer, adam.lr * (double)(steps - step) / (double)steps);
        wg_zero_grad(m->params);
        wg_tensor loss = loss_of(m, &book, at);
        if (wg_backward(loss) == WG_OK) {
            wg_clip_grad_norm(m->params, 1, NULL);
            wg_optimizer_step(optimizer);
        }
        if (step % 50 == 0) printf("step %4d  loss %.3f\n", (int)step, wg_item(loss));
        app_end_step(m->tape);
    }
    wg_optimizer_free(optimizer);
    app_result("validation loss before: %.3f nats, validation loss after: %.3f nats", before, validate(m, &book));
    free(book.index);
}

/* ---- the program ---- */

/* x [40, B] -> probabilities [B, 465]. */
static wg_entry run(void *context, const wg_safetensors *inputs)
{
    net *m = context;
    wg_shape shape = WG_DIMS(WINDOW, -1);
    int32_t *x = own_read(inputs, "x", WG_I32, &shape);
    const int64_t batch = shape.size[1];
    const size_t bytes = (size_t)batch * CHARACTERS * sizeof(float);
    free(m->results);
    m->results = app_room(batch * CHARACTERS, sizeof(float));
    wg_tensor y = wg_softmax(apply(m, wg_data(m->tape, WG_I32, shape, x)), 1);
    if (wg_read(y, m->results, bytes) != WG_OK) app_fail("%s", wg_tape_message(m->tape));
    app_end_step(m->tape);
    free(x);
    return (wg_entry){.dtype = WG_F32, .shape = WG_DIMS(batch, CHARACTERS), .data = m->results};
}

int main(int argc, char **argv)
{
    own o = {.steps = 600, .seed = 1};
    const char *prefix = "", *text = EXAMPLES_DATA "/pride_and_prejudice.txt";
    double temperature = 0.5;
    int64_t length = 300;
    app_option options[] = {OWN_OPTIONS(&o, "textgenrnn.hdf5"),
                            {APP_TEXT, "text", &text, "FILE", "of --tune"},
                            {APP_TEXT, "prefix", &prefix, "TEXT", "that the text begins with"},
                            {APP_REAL, "temperature", &temperature, "T", "low: likely text", 0.01, 10},
                            {APP_INT, "length", &length, "N", "at most so many characters", 0, 1e9},
                            {APP_END}};
    app_name("textgen");
    app_parse(argc, argv, "textgen [options]", "Writes text, character by character.", options);
    own_open(&o, "textgenrnn.hdf5");
    net m = {.tape = o.tape};
    char *dictionary = own_path(NULL, "textgenrnn_vocab.json");
    net_init(&m, o.path);
    load_characters(&m, dictionary);
    if (o.check)
        own_check(o.check, run, &m);
    else
        generate(&m, prefix, length, temperature, o.seed);
    if (o.tune && !o.check) {
        tune(&m, text, o.steps, o.seed);
        generate(&m, prefix, length, temperature, o.seed);
    }
    free(dictionary);
    free(m.results);
    wg_params_free(m.params);
    own_close(&o);
    return app_end();
}
