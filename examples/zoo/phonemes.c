/* Says how English words are pronounced: the grapheme-to-phoneme network of g2p_en (Park, Kim; Apache-2.0).
 *
 * * phonemes wengert zoo
 *
 * * A GRU of 256 units reads the letters, another one writes phonemes (ARPAbet, as in the CMU dictionary), each chosen
 * greedily and fed back. The weights are NumPy's .npz.
 *
 * * --tune teaches the words of a lexicon of its own, together with 16 ordinary words as the network says them, so that
 * it does not forget. Expected: all 16 words of the lexicon right, where before at most a third were, and at least 10
 * of 16 words that were never shown as before. */
#include "own.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { LETTERS = 29, PHONEMES = 74, UNITS = 256, MOST = 20, MOST_LETTERS = 40, START = 2, END = 3 };

static const char *const phonemes[PHONEMES] = {
    "<pad>", "<unk>", "<s>", "</s>", "AA0", "AA1", "AA2", "AE0", "AE1", "AE2", "AH0", "AH1", "AH2", "AO0", "AO1",
    "AO2",   "AW0",   "AW1", "AW2",  "AY0", "AY1", "AY2", "B",   "CH",  "D",   "DH",  "EH0", "EH1", "EH2", "ER0",
    "ER1",   "ER2",   "EY0", "EY1",  "EY2", "F",   "G",   "HH",  "IH0", "IH1", "IH2", "IY0", "IY1", "IY2", "JH",
    "K",     "L",     "M",   "N",    "NG",  "OW0", "OW1", "OW2", "OY0", "OY1", "OY2", "P",   "R",   "S",   "SH",
    "T",     "TH",    "UH0", "UH1",  "UH2", "UW",  "UW0", "UW1", "UW2", "V",   "W",   "Y",   "Z",   "ZH"};

typedef struct net {
    wg_params *params;
    wg_embedding_layer letter, phoneme;
    wg_rnn encoder, decoder;
    wg_linear_layer out;
    wg_tape *tape;
    float *results; /* of run */
} net;

/* ---- the model ---- */

static void net_init(net *m, const char *path)
{
    static const wg_map_row map[] = {{.from = "enc_emb", .to = "letter.weight"},
                                     {.from = "dec_emb", .to = "phoneme.weight"},
                                     {.from = "enc_w_*", .to = "encoder.weight_*_l0"},
                                     {.from = "enc_b_*", .to = "encoder.bias_*_l0"},
                                     {.from = "dec_w_*", .to = "decoder.weight_*_l0"},
                                     {.from = "dec_b_*", .to = "decoder.bias_*_l0"},
                                     {.from = "fc_w", .to = "out.weight"},
                                     {.from = "fc_b", .to = "out.bias"}};
    wg_rnn_options gru = wg_rnn_defaults();
    gru.cell = WG_GRU;
    m->params = wg_params_new(WG_F32);
    wg_embedding_init(&m->letter, m->params, "letter", LETTERS, UNITS, -1);
    wg_embedding_init(&m->phoneme, m->params, "phoneme", PHONEMES, UNITS, -1);
    wg_rnn_init(&m->encoder, m->params, "encoder", UNITS, UNITS, gru);
    wg_rnn_init(&m->decoder, m->params, "decoder", UNITS, UNITS, gru);
    wg_linear_init(&m->out, m->params, "out", UNITS, PHONEMES, wg_linear_defaults());
    own_load(path, m->params, map, sizeof map / sizeof *map, NULL);
}

/* index[T, B] -> an output of the GRU for each of T steps; *state is updated. */
static void unroll(const wg_rnn *rnn, const wg_embedding_layer *embedding, wg_tensor index, wg_tensor lengths,
                   wg_rnn_state *state, wg_tensor *out)
{
    const int T = (int)wg_size(index, 0);
    wg_tensor x[MOST_LETTERS], all = wg_embedding_apply(embedding, index);
    for (int t = 0; t < T; t++) x[t] = wg_select(all, 0, t);
    wg_rnn_unroll(rnn, x, T, lengths, state, out);
}

/* The state after the letters[T, B], where word b has lengths[b]. */
static wg_rnn_state encode(net *m, const int32_t *letters, int T, int64_t B, wg_tensor lengths)
{
    wg_tensor out[MOST_LETTERS];
    wg_rnn_state state = wg_rnn_zero_state(&m->encoder, m->tape, B);
    unroll(&m->encoder, &m->letter, wg_data(m->tape, WG_I32, WG_DIMS(T, B), letters), lengths, &state, out);
    return state;
}

/* Writes at most 20 phonemes; returns their number. logits[20][74] or NULL. */
static int pronounce(net *m, const int32_t *letters, int n_letters, int32_t *out, float (*logits)[PHONEMES])
{
    float h[UNITS], row[PHONEMES];
    int32_t last = START;
    wg_rnn_state state = encode(m, letters, n_letters, 1, WG_NONE);
    if (wg_read(state.h[0], h, sizeof h) != WG_OK) app_fail("%s", wg_tape_message(m->tape));
    app_end_step(m->tape);
    for (int n = 0;; n++) {
        if (n == MOST) return n;
        state.h[0] = wg_data(m->tape, WG_F32, WG_DIMS(1, UNITS), h);
        wg_tensor x = wg_embedding_apply(&m->phoneme, wg_data(m->tape, WG_I32, WG_DIMS(1), &last));
        wg_tensor y[] = {wg_linear_apply(&m->out, wg_rnn_step(&m->decoder, x, &state)), state.h[0]};
        if (wg_eval(y, 2) != WG_OK || wg_read(y[0], row, sizeof row) != WG_OK ||
            wg_read(y[1], h, sizeof h) != WG_OK)
            app_fail("%s", wg_tape_message(m->tape));
        app_end_step(m->tape);
        if (logits) memcpy(logits[n], row, sizeof row);
        last = 0;
        for (int i = 1; i < PHONEMES; i++)
            if (row[i] > row[last]) last = i;
        if (last == END) return n;
        out[n] = last;
    }
}

/* ---- words ---- */

/* The letters' numbers and the end's, 2; returns how many. */
static int spell(const char *word, int32_t *letters)
{
    int n = 0;
    for (; *word && n < MOST_LETTERS - 1; word++) {
        const int c = tolower((unsigned char)*word);
        letters[n++] = c >= 'a' && c <= 'z' ? 3 + c - 'a' : 1;
    }
    letters[n++] = 2;
    return n;
}

static void print_word(const char *word, const int32_t *out, int n)
{
    app_print(word);
    for (int i = 0; i < n; i++) printf(" %s", phonemes[out[i]]);
    putchar('\n');
}

static int32_t phoneme_of(const char *name, size_t n)
{
    for (int32_t i = 0; i < PHONEMES; i++)
        if (strlen(phonemes[i]) == n && memcmp(phonemes[i], name, n) == 0) return i;
    app_fail("no phoneme %.*s", (int)n, name);
}

/* ---- training ---- */

typedef struct example {
    const char *word;
    int32_t letters[MOST_LETTERS], out[MOST + 1]; /* out ends with END */
    int n_letters, n;                             /* n: without END */
} example;

enum { N = 16 };
static const char *const lexicon[N][2] = {{"nginx", "EH1 N JH IH0 N EH1 K S"},
                                          {"gnu", "G AH0 N UW1"},
                                          {"sql", "S IY1 K W AH0 L"},
                                          {"kubernetes", "K UW2 B ER0 N EH1 T IY0 Z"},
                                          {"ubuntu", "UH0 B UH1 N T UW0"},
                                          {"latex", "L EY1 T EH2 K"},
                                          {"qt", "K Y UW1 T"},
                                          {"char", "K EH1 R"},
                                          {"wav", "W EY1 V"},
                                          {"jpeg", "JH EY1 P EH2 G"},
                                          {"png", "P IH1 NG"},
                                          {"regex", "R EH1 G EH2 K S"},
                                          {"cache", "K AE1 SH"},
                                          {"xfce", "EH2 K S EH2 F S IY2 IY1"},
                                          {"wengert", "W EH1 NG ER0 T"},
                                          {"euler", "OY1 L ER0"}};
static const char *const known[N] = {"window", "banana",  "simple",  "garden",  "machine", "forest",
                                     "number", "yellow",  "morning", "blanket", "captain", "dollar",
                                     "engine", "feather", "guitar",  "hammer"};
static const char *const unseen[N] = {"market", "pencil", "table",  "summer", "kitchen", "letter",
                                      "monkey", "orange", "paper",  "river",  "silver",  "ticket",
                                      "velvet", "winter", "button", "candle"};

static example example_of(net *m, const char *word, const char *said)
{
    example e = {.word = word};
    e.n_letters = spell(word, e.letters);
    if (!said) e.n = pronounce(m, e.letters, e.n_letters, e.out, NULL);
    for (size_t n; said && *said; said += n + (said[n] == ' ')) {
        n = strcspn(said, " ");
        e.out[e.n++] = phoneme_of(said, n);
    }
    e.out[e.n] = END;
    return e;
}

/* How many of n words are said as in the examples. */
static int count_right(net *m, const example *examples, int n)
{
    int right = 0;
    for (int i = 0; i < n; i++) {
        int32_t out[MOST + 1];
        const int k = pronounce(m, examples[i].letters, examples[i].n_letters, out, NULL);
        right += k == examples[i].n && memcmp(out, examples[i].out, (size_t)k * sizeof *out) == 0;
    }
    return right;
}

/* The loss of 2 N examples, with the right phoneme fed back. */
static wg_tensor loss_of(net *m, const example *examples)
{
    enum { B = 2 * N };
    int32_t letters[MOST_LETTERS][B] = {{0}}, in[MOST + 1][B] = {{0}}, out[B][MOST + 1] = {{0}};
    int32_t n_letters[B], n_out[B];
    wg_tensor y[MOST + 1];
    int T = 0, S = 0;
    for (int b = 0; b < B; b++) {
        const example *e = &examples[b];
        for (int t = 0; t < e->n_letters; t++) letters[t][b] = e->letters[t];
        for (int t = 0; t <= e->n; t++) in[t][b] = t > 0 ? e->out[t - 1] : START, out[b][t] = e->out[t];
        n_letters[b] = e->n_letters, n_out[b] = e->n + 1;
        T = T > n_letters[b] ? T : n_letters[b];
        S = S > n_out[b] ? S : n_out[b];
    }
    wg_rnn_state state = encode(m, letters[0], T, B, wg_data(m->tape, WG_I32, WG_DIMS(B), n_letters));
    unroll(&m->decoder, &m->phoneme, wg_data(m->tape, WG_I32, WG_DIMS(S, B), in), WG_NONE, &state, y);
    wg_tensor labels = wg_slice(wg_data(m->tape, WG_I32, WG_DIMS(B, MOST + 1), out), 1, 0, S);
    return wg_cross_entropy_lengths(wg_linear_apply(&m->out, wg_stack(y, S, 1)), labels,
                                    wg_data(m->tape, WG_I32, WG_DIMS(B), n_out));
}

static void tune(net *m, int64_t steps)
{
    example train[2 * N], held[N];
    double loss = 0, first = 0;
    for (int i = 0; i < N; i++) {
        train[i] = example_of(m, lexicon[i][0], lexicon[i][1]);
        train[N + i] = example_of(m, known[i], NULL);
        held[i] = example_of(m, unseen[i], NULL);
    }
    const int before = count_right(m, train, N);
    wg_adam_options adam = wg_adam_defaults();
    adam.lr = 3e-4;
    wg_optimizer *optimizer = wg_adam_new(m->params, adam);
    if (!optimizer) app_fail("%s", wg_params_message(m->params));
    for (int64_t step = 0; step < steps; step++) {
        wg_zero_grad(m->params);
        wg_tensor l = loss_of(m, train);
        if (wg_backward(l) == WG_OK) wg_optimizer_step(optimizer);
        loss = wg_item(l);
        if (step == 0) first = loss;
        if (step % 10 == 0) printf("step %3d  loss %.4f\n", (int)step, loss);
        app_end_step(m->tape);
    }
    wg_optimizer_free(optimizer);
    for (int i = 0; i < N; i++) {
        int32_t out[MOST + 1];
        print_word(train[i].word, out, pronounce(m, train[i].letters, train[i].n_letters, out, NULL));
    }
    app_result("loss before: %.3f nats, loss after: %.3f nats, words before: %d of %d, words after: %d of %d",
               first, loss, before, N, count_right(m, train, N), N);
    app_result("unseen words as before: %d of %d", count_right(m, held, N), N);
}

/* ---- the program ---- */

/* letters [words, most] and lengths [words] -> logits [words, 20, 74]; zeros behind the end. */
static wg_entry run(void *context, const wg_safetensors *inputs)
{
    net *m = context;
    wg_shape shape = WG_DIMS(-1, -1), n = WG_DIMS(-1);
    int32_t *letters = own_read(inputs, "letters", WG_I32, &shape),
            *lengths = own_read(inputs, "lengths", WG_I32, &n);
    const int64_t words = shape.size[0], most = shape.size[1];
    if (n.size[0] != words || most > MOST_LETTERS) app_fail("inputs of another shape");
    free(m->results);
    m->results = app_room(words * MOST * PHONEMES, sizeof *m->results);
    for (int64_t i = 0; i < words; i++) {
        int32_t out[MOST + 1];
        float(*logits)[PHONEMES] = (float(*)[PHONEMES])(m->results + i * MOST * PHONEMES);
        if (lengths[i] < 1 || lengths[i] > most) app_fail("a length out of range");
        pronounce(m, letters + i * most, lengths[i], out, logits);
    }
    free(letters);
    free(lengths);
    return (wg_entry){.dtype = WG_F32, .shape = WG_DIMS(words, MOST, PHONEMES), .data = m->results};
}

int main(int argc, char **argv)
{
    own o = {.steps = 120, .seed = 1};
    app_list words = {0};
    app_option options[] = {
        OWN_OPTIONS(&o, "g2p_en.npz"), {APP_LIST, "word", &words, "WORD", "to pronounce"}, {APP_END}};
    app_name("phonemes");
    app_parse(argc, argv, "phonemes [options] WORD...", "Says how English words are pronounced.", options);
    own_open(&o, "g2p_en.npz");
    net m = {.tape = o.tape};
    net_init(&m, o.path);
    if (o.check)
        own_check(o.check, run, &m);
    else if (o.tune)
        tune(&m, o.steps);
    else if (words.n == 0)
        app_usage("no words; phonemes --help");
    for (int i = 0; i < words.n; i++) {
        int32_t letters[MOST_LETTERS], said[MOST + 1];
        print_word(words.items[i], said, pronounce(&m, letters, spell(words.items[i], letters), said, NULL));
    }
    free(m.results);
    wg_params_free(m.params);
    own_close(&o);
    free(words.items);
    return app_end();
}
