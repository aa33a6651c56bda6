/* What sentences mean alike: all-MiniLM-L6-v2, a Transformer whose vectors of similar sentences are near.
 *
 *     minilm "The cat sleeps." "A kitten takes a nap." "Stocks fell today."
 *     minilm --tune
 *
 * The vectors follow the topic of a sentence more than its mood. --tune moves them, on the sentences of moods.tsv,
 * until the nearer one of two class means tells good news from bad. */
#include "zoo.h"

#include "models.h"
#include "wordpiece.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 128, WIDTH = 384, CLASSES = 2 };

/* Tokens of sentences, [n, length], padded. */
typedef struct texts {
    int32_t *tokens, *mask, *types;
    int64_t n, length;
} texts;

static texts read_texts(const wordpiece *words, const char *const *sentence, int64_t n)
{
    texts t = {.n = n};
    int32_t *all = app_room(n * MOST, sizeof *all);
    int64_t *size = app_room(n, sizeof *size);
    for (int64_t i = 0; i < n; i++) {
        size[i] = wordpiece_tokens(words, sentence[i], all + i * MOST, MOST);
        if (size[i] > t.length) t.length = size[i];
    }
    t.tokens = app_room(n * t.length, sizeof *t.tokens);
    t.mask = app_room(n * t.length, sizeof *t.mask);
    t.types = app_room(n * t.length, sizeof *t.types);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < size[i]; k++) {
            t.tokens[i * t.length + k] = all[i * MOST + k];
            t.mask[i * t.length + k] = 1;
        }
    free(all);
    free(size);
    return t;
}

static void free_texts(texts *t)
{
    free(t->tokens);
    free(t->mask);
    free(t->types);
}

static void inputs_of(const texts *t, wg_entry in[3])
{
    const wg_entry x = {.dtype = WG_I32, .shape = WG_DIMS(t->n, t->length)};
    in[0] = in[1] = in[2] = x;
    in[0].data = t->tokens, in[1].data = t->mask, in[2].data = t->types;
}

/* Vectors [n, WIDTH] of length 1: the mean of the model's vectors of the tokens. */
static wg_tensor embed(const zoo *z, wg_tape *tape, const texts *t)
{
    wg_entry in[3];
    wg_tensor hidden;
    inputs_of(t, in);
    zoo_apply(z, tape, in, &hidden, 1);
    const wg_tensor mask = wg_cast(wg_data(tape, WG_I32, WG_DIMS(t->n, t->length, 1), t->mask), WG_F32);
    return wg_normalize(wg_sum(wg_mul(hidden, mask), WG_AXES(1), false), -1, 1e-12);
}

static void compare(const zoo *z, const texts *t)
{
    wg_no_grad_begin(z->tape);
    const wg_tensor e = embed(z, z->tape, t), alike = wg_matmul(e, wg_t(e));
    wg_no_grad_end(z->tape);
    zoo_eval(z, &alike, 1);
    const float *cosine = zoo_floats(z, alike, WG_DIMS(t->n, t->n));
    for (int64_t i = 0; i < t->n; i++) {
        for (int64_t k = 0; k < t->n; k++) printf("%6.2f", cosine[i * t->n + k]);
        printf("\n");
    }
    app_end_step(z->tape);
}

/* ---- tuning ---- */

typedef struct task {
    const zoo *z;
    texts train, test;
    int32_t *is, *of; /* classes of the training and of the test sentences */
} task;

/* Cosines [n, CLASSES] of vectors and the means of the classes: of the training vectors of those n sentences. */
static wg_tensor scores(const task *t, wg_tape *tape, wg_tensor vectors, wg_tensor train, const int64_t *sentence,
                        int64_t n)
{
    float *member = app_room(CLASSES * t->train.n, sizeof *member);
    for (int64_t i = 0; i < n; i++) member[t->is[sentence[i]] * t->train.n + sentence[i]] = 1;
    const wg_tensor sums = wg_matmul(wg_data(tape, WG_F32, WG_DIMS(CLASSES, t->train.n), member), train);
    free(member);
    return wg_matmul(vectors, wg_t(wg_normalize(sums, -1, 1e-12)));
}

/* The first half of the shuffled sentences makes the means, by which the others are told apart. */
static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    const task *t = context;
    const int64_t half = batch->n / 2;
    int32_t *others = app_room(2 * half, sizeof *others), *is = others + half;
    for (int64_t i = 0; i < half; i++) others[i] = (int32_t)batch->sample[half + i], is[i] = t->is[others[i]];
    const wg_tensor all = embed(t->z, batch->tape, &t->train);
    const wg_tensor e = wg_embedding(all, wg_data(batch->tape, WG_I32, WG_DIMS(half), others));
    const wg_tensor logits = wg_scale(scores(t, batch->tape, e, all, batch->sample, half), 10);
    const wg_tensor loss = wg_cross_entropy(logits, wg_data(batch->tape, WG_I32, WG_DIMS(half), is));
    free(others);
    return loss;
}

static double accuracy(const task *t, double *loss)
{
    wg_tape *tape = t->z->tape;
    const wg_tensor train = embed(t->z, tape, &t->train), test = embed(t->z, tape, &t->test);
    int64_t *every = app_room(t->train.n, sizeof *every);
    for (int64_t i = 0; i < t->train.n; i++) every[i] = i;
    const wg_tensor s = scores(t, tape, test, train, every, t->train.n);
    free(every);
    const wg_tensor mean = wg_cross_entropy(wg_scale(s, 10), wg_data(tape, WG_I32, WG_DIMS(t->test.n), t->of));
    zoo_eval(t->z, (wg_tensor[]){s, mean}, 2);
    const float *cosine = zoo_floats(t->z, s, WG_DIMS(t->test.n, CLASSES));
    int64_t right = 0;
    for (int64_t i = 0; i < t->test.n; i++) right += (cosine[2 * i + 1] > cosine[2 * i]) == (t->of[i] == 1);
    *loss = wg_item(mean);
    app_end_step(tape);
    return 100.0 * (double)right / (double)t->test.n;
}

/* Lines "CLASS TAB SENTENCE", whose last third is to test. */
static void read_task(task *t, const wordpiece *words, char *text)
{
    const char *sentence[256];
    int32_t is[256];
    int64_t n = 0;
    for (char *line = strtok(text, "\n"); line && n < 256; line = strtok(NULL, "\n")) {
        if ((*line != '0' && *line != '1') || line[1] != '\t') continue;
        is[n] = *line - '0';
        sentence[n++] = line + 2;
    }
    const int64_t train = n * 2 / 3;
    if (train < 2 || n == train) app_fail("too few sentences");
    t->train = read_texts(words, sentence, train);
    t->test = read_texts(words, sentence + train, n - train);
    t->is = app_room(n, sizeof *t->is);
    memcpy(t->is, is, (size_t)n * sizeof *is);
    t->of = t->is + train;
}

static void tune(const zoo *z, const wordpiece *words)
{
    task t = {.z = z};
    double loss[2], right[2];
    wg_text text;
    wg_error error = {0};
    if (wg_text_read(ZOO_DATA "/moods.tsv", &text, &error) != WG_OK) app_fail("%s", error.text);
    char *copy = app_room((int64_t)text.size + 1, 1);
    memcpy(copy, text.bytes, text.size);
    wg_text_fini(&text);
    read_task(&t, words, copy);
    right[0] = accuracy(&t, &loss[0]);
    zoo_tune(z, loss_of, &t, t.train.n, t.train.n, 3e-5);
    right[1] = accuracy(&t, &loss[1]);
    app_result("loss before: %.3f, after: %.3f, accuracy before: %.1f %%, after: %.1f %%", loss[0], loss[1],
               right[0], right[1]);
    free_texts(&t.train);
    free_texts(&t.test);
    free(t.is);
    free(copy);
}

int main(int argc, char **argv)
{
    zoo z = {.steps = 8};
    app_list sentences = {0};
    app_option options[] = {{APP_LIST, "sentence", &sentences, "SENTENCE", "to compare with the others"},
                            ZOO_OPTIONS(&z, "train on the moods of sentences"),
                            {APP_END}};
    app_name("minilm");
    app_parse(argc, argv, "minilm [options] SENTENCE SENTENCE ...",
              "Says how similar sentences are (cosines, a row a sentence), by all-MiniLM-L6-v2.", options);
    if (sentences.n < 1 && !z.tune) app_usage("give sentences, or --tune");
    zoo_open(&z, "minilm.onnx", 3, 1, false);
    char *path = models_path(z.folder, "minilm_vocabulary.txt");
    wordpiece *words = wordpiece_open(path);
    if (z.tune)
        tune(&z, words);
    else {
        texts t = read_texts(words, sentences.items, sentences.n);
        wg_entry in[3];
        inputs_of(&t, in);
        if (z.check)
            zoo_check(&z, in);
        else
            compare(&z, &t);
        free_texts(&t);
    }
    wordpiece_close(words);
    free(path);
    zoo_close(&z);
    free(sentences.items);
    return app_end();
}
