/* Questions about a story: where is Mary?
 *
 *     answer                                        stories of two facts, generated
 *     answer --facts 5                              longer ones
 *     answer --data qa1_single-supporting-fact_train.txt
 *     answer --story "Mary moved to the bathroom. John went to the hallway. Where is Mary?"
 *
 * Two encoders share the word embeddings: one LSTM reads the story, another the question. A layer of ReLU units maps
 * the concatenated last states to the answers, which are single words. Stories and questions have any length; padding
 * has no effect.
 *
 * The file format is that of the bAbI tasks (Weston et al. 2015). A line is a number and a fact; or a number, a
 * question, a tab, the answer, and the numbers of the supporting facts, which are unused here. Number 1 begins a story.
 * Generated stories are like those of task 1: four people move to six places, in five phrasings; a person is where he
 * or she went last. The last tenth of the stories is held out, except for questions that also occur in the training
 * stories.
 *
 * Expected (default settings): accuracy above 0.95 on held-out stories; the most frequent answer is right in about
 * 0.17 of them. */
#include "answer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    const char *data, *story, *export;
    int64_t stories, facts, epochs, batch, embedding, hidden, seed, threads;
    double lr;
    bool tiny;
} settings;

/* ---- the model ---- */

static int32_t n_answers(const corpus *c) { return c->answers.size - WORD_FIRST; }

typedef struct model {
    wg_params *params;
    wg_embedding_layer embedding;
    wg_rnn story, question;
    wg_linear_layer joined, head;
} model;

static model model_new(const corpus *c, const settings *s)
{
    model m = {.params = wg_params_new_with(WG_F32, (wg_allocator){0}, (uint64_t)s->seed)};
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = WG_LSTM;
    options.forget_bias = 1;
    wg_embedding_init(&m.embedding, m.params, "embedding", c->words.size, s->embedding, WORD_PAD);
    wg_rnn_init(&m.story, m.params, "story", s->embedding, s->hidden, options);
    wg_rnn_init(&m.question, m.params, "question", s->embedding, s->hidden, options);
    wg_linear_init(&m.joined, m.params, "joined", 2 * s->hidden, 2 * s->hidden, wg_linear_defaults());
    wg_linear_init(&m.head, m.params, "head", 2 * s->hidden, n_answers(c), wg_linear_defaults());
    if (wg_params_status(m.params) != WG_OK) app_fail("%s", wg_params_message(m.params));
    return m;
}

/* The state after the last word: [B, hidden]. */
static wg_tensor encode(const model *m, const wg_rnn *rnn, sequence_batch text)
{
    wg_tensor embedded = wg_embedding_apply(&m->embedding, wg_t(text.tokens)), x[MOST_WORDS + 4], h[MOST_WORDS + 4];
    for (int64_t t = 0; t < text.T; t++) x[t] = wg_select(embedded, 0, t);
    wg_rnn_state state = wg_rnn_zero_state(rnn, text.tokens.tape, text.n);
    wg_rnn_unroll(rnn, x, (int)text.T, text.lengths, &state, h);
    return state.h[0];
}

/* The logits of the answers: [B, answers]. */
static wg_tensor predict(const model *m, sequence_batch story, sequence_batch question)
{
    wg_tensor both[2] = {encode(m, &m->story, story), encode(m, &m->question, question)};
    wg_tensor joined = wg_relu(wg_linear_apply(&m->joined, wg_concat(both, 2, 1)));
    return wg_linear_apply(&m->head, joined);
}

static wg_tensor predict_samples(const model *m, wg_tape *tape, const corpus *c, const int64_t *sample, int64_t n)
{
    return predict(m, sequences_batch(&c->story, tape, sample, n, 0),
                   sequences_batch(&c->question, tape, sample, n, 0));
}

/* ---- training ---- */

/* A model that learns from a corpus. */
typedef struct learner {
    const model *model;
    const corpus *corpus;
    double lr;
} learner;

static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
{
    const learner *l = context;
    int32_t *answers = app_room(batch->n, sizeof *answers);
    for (int64_t i = 0; i < batch->n; i++) answers[i] = l->corpus->answer[batch->sample[i]];
    wg_tensor labels = wg_data(batch->tape, WG_I32, WG_DIMS(batch->n), answers);
    free(answers);
    return wg_cross_entropy(predict_samples(l->model, batch->tape, l->corpus, batch->sample, batch->n), labels);
}

static double lr_of(void *context, uint64_t step, uint64_t steps)
{
    const double lr = ((const learner *)context)->lr;
    return wg_schedule_cosine(lr, lr / 20, step, steps);
}

/* The accuracy on the questions first .. last - 1. Stores the answers in given, unless that is NULL. */
static double accuracy(const model *m, wg_tape *tape, const corpus *c, int64_t first, int64_t last, int32_t *given)
{
    enum { AT_ONCE = 100 };
    int64_t samples[AT_ONCE], right = 0;
    bool training = wg_set_training(tape, false);
    for (int64_t i = first; i < last; i += AT_ONCE) {
        int64_t n = last - i < AT_ONCE ? last - i : AT_ONCE;
        for (int64_t k = 0; k < n; k++) samples[k] = i + k;
        wg_no_grad_begin(tape);
        const int32_t *best = wg_value(wg_argmax(predict_samples(m, tape, c, samples, n), -1, false));
        for (int64_t k = 0; best && k < n; k++) {
            right += best[k] == c->answer[i + k];
            if (given) given[i + k - first] = best[k];
        }
        wg_no_grad_end(tape);
        app_end_step(tape);
    }
    wg_set_training(tape, training);
    return (double)right / (double)(last - first);
}

/* Returns the mean loss of the last epoch. */
static double train(const model *m, wg_tape *tape, const corpus *c, const settings *s)
{
    learner l = {m, c, s->lr};
    wg_fit_options fit = wg_fit_defaults();
    fit.params = m->params;
    fit.optimizer = wg_adam_new(m->params, wg_adam_defaults());
    fit.loss = loss_of, fit.lr = lr_of, fit.context = &l;
    fit.samples = c->train, fit.lengths = c->story.lengths;
    fit.batch = s->batch, fit.epochs = s->epochs;
    fit.seed = (uint64_t)s->seed;
    fit.clip = 1;
    wg_fit_result end = app_fit(fit, tape, (wg_progress){.unit = "questions", .units = (double)s->batch});
    wg_optimizer_free(fit.optimizer);
    return end.mean_loss;
}

/* ---- export ---- */

typedef struct exported {
    const model *model;
    int64_t story, question; /* words of the longest ones */
} exported;

static void record_model(void *context, wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    const exported *e = context;
    const wg_embedding_layer *rows = &e->model->embedding;
    const sequence_batch story = sequences_export(tape, batch, e->story, rows, x),
                         question = sequences_export(tape, batch, e->question, rows, x + 2);
    y[0] = predict(e->model, story, question);
}

static void export_model(const model *m, const corpus *c, const char *path, wg_tape *tape)
{
    static const char *const in[] = {"story", "story_length", "question", "question_length"}, *const out[] = {
                                                                                                  "logits"};
    exported e = {m, sequences_longest(&c->story), sequences_longest(&c->question)};
    const app_model program = {in, out, 4, 1, record_model, &e};
    app_export(path, tape, &program);
}

/* ---- results ---- */

/* The accuracy of the most frequent training answer. */
static double chance(const corpus *c)
{
    int64_t *count = app_room(n_answers(c), sizeof *count), right = 0;
    int32_t best = 0;
    for (int64_t i = 0; i < c->train; i++) count[c->answer[i]]++;
    for (int32_t k = 1; k < n_answers(c); k++)
        if (count[k] > count[best]) best = k;
    for (int64_t i = c->train; i < c->n; i++) right += c->answer[i] == best;
    free(count);
    return (double)right / (double)(c->n - c->train);
}

static void print_words(const dictionary *d, const sequences *s, int64_t i)
{
    for (int32_t k = 0; k < s->lengths[i]; k++) app_print(d->word[s->tokens[i * s->width + k]]), putchar(' ');
}

static void print_some(const model *m, wg_tape *tape, const corpus *c)
{
    int32_t given[3];
    int64_t n = c->n - c->train < 3 ? c->n - c->train : 3;
    accuracy(m, tape, c, c->train, c->train + n, given);
    for (int64_t i = 0; i < n; i++) {
        print_words(&c->words, &c->story, c->train + i);
        printf("| ");
        print_words(&c->words, &c->question, c->train + i);
        printf("? ");
        app_print(c->answers.word[WORD_FIRST + given[i]]);
        printf(" (");
        app_print(c->answers.word[WORD_FIRST + c->answer[c->train + i]]);
        printf(")\n");
    }
}

/* ---- the program ---- */

static void run(wg_tape *tape, const settings *s)
{
    corpus c = corpus_new(s->data, s->stories, s->facts, (uint64_t)s->seed), asked = {0};
    if (s->story) asked = corpus_of_question(&c, s->story);
    model m = model_new(&c, s);
    double loss = train(&m, tape, &c, s);
    if (s->export) export_model(&m, &c, s->export, tape);
    if (!wg_signal_number()) {
        double right = accuracy(&m, tape, &c, c.train, c.n, NULL);
        printf("%lld questions to learn from, %lld held out, %d words, %d answers\n\n", (long long)c.train,
               (long long)(c.n - c.train), (int)c.words.size - WORD_FIRST, (int)n_answers(&c));
        print_some(&m, tape, &c);
        if (s->story) {
            int32_t given = 0;
            accuracy(&m, tape, &asked, 0, 1, &given);
            app_print(s->story);
            putchar(' ');
            app_print(c.answers.word[WORD_FIRST + given]);
            putchar('\n');
        }
        putchar('\n');
        app_result("accuracy: %.4f, chance: %.4f, training loss: %.4f nats", right, chance(&c), loss);
    }
    wg_params_free(m.params);
    corpus_fini(&c);
    corpus_fini(&asked);
}

int main(int argc, char **argv)
{
    settings s = {
        .stories = 10000, .facts = 2, .epochs = 12, .batch = 32, .embedding = 32, .hidden = 48, .threads = 1};
    s.lr = 1e-2;
    app_option options[] = {
        {APP_TEXT, "data", &s.data, "FILE", "a bAbI task with answers of one word"},
        {APP_TEXT, "story", &s.story, "TEXT", "answer this at the end: facts and a question"},
        APP_EXPORT(&s.export),
        {APP_INT, "stories", &s.stories, "N", "to generate", 10, 1e6},
        {APP_INT, "facts", &s.facts, "N", "per generated story", 1, 60},
        {APP_INT, "epochs", &s.epochs, "N", "passes over the data", 1, 1e4},
        {APP_INT, "batch", &s.batch, "N", "questions per step", 1, 4096},
        {APP_INT, "embedding", &s.embedding, "N", "size of the word embeddings", 1, 4096},
        {APP_INT, "hidden", &s.hidden, "N", "units of an encoder", 1, 4096},
        {APP_REAL, "lr", &s.lr, "X", "Adam's learning rate at the beginning; falls to a twentieth", 0, 10},
        {APP_FLAG, "tiny", &s.tiny, NULL, "3000 stories, 32 units, 24 epochs"},
        {APP_INT, "seed", &s.seed, "N", "of stories, weights and order", 0, 9e18},
        APP_THREADS(&s.threads),
        {APP_END}};
    app_name("answer");
    app_parse(argc, argv, "answer [options]",
              "Answers questions about stories: one LSTM reads the story, one the question.\n"
              "Expected: accuracy above 0.95 on held-out stories, chance about 0.17.",
              options);
    if (s.tiny) app_preset(options, "stories=3000 epochs=24 embedding=16 hidden=32 lr=0.01");
    if (s.export) app_check_place(s.export);
    wg_signal_catch();
    wg_pool *pool;
    wg_tape *tape = app_tape_new(s.threads, s.seed, NULL, &pool);
    run(tape, &s);
    if (wg_signal_number()) app_note("stopped");
    wg_tape_free(tape);
    wg_pool_free(pool);
    return app_end();
}
