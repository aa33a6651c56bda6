/* Reads what torch.save wrote before PyTorch 1.6: pickles of a magic number, of a protocol's, and of facts about the
 * machine; the pickle of the state dict; that of a list of keys; then, in this order, for each key the number of
 * elements of its storage, 8 bytes, and the elements. See pt.h. */
#include "pt.h"

#include <stdlib.h>
#include <string.h>

/* The first two pickles: the numbers 0x1950a86a20f9469cfc6c and 1001. */
static const char magic[] = "\x80\2\x8a\nl\xfc\x9c\x46\xf9\x20j\xa8\x50\x19.\x80\2M\xe9\3.";
enum { MAGIC = sizeof magic - 1 };

static int compare(const wg__pt *c, const wg__old_storage *s, const char *key, size_t n)
{
    const int order = memcmp(c->text + s->key, key, s->n < n ? s->n : n);
    return order ? order : (s->n > n) - (s->n < n);
}

static bool key_before(const void *context, const void *a, const void *b)
{
    const wg__pt *c = context;
    const wg__old_storage *other = b;
    return compare(c, a, c->text + other->key, other->n) < 0;
}

static bool place_before(const void *context, const void *a, const void *b)
{
    return ((const wg__old_storage *)a)->place < ((const wg__old_storage *)b)->place;
}

/* The storage with this key, or NULL. */
static wg__old_storage *find(const wg__pt *c, const char *key, size_t n)
{
    for (size_t low = 0, high = c->n_old; low < high;) {
        const size_t middle = low + (high - low) / 2;
        const int order = compare(c, &c->old[middle], key, n);
        if (order == 0) return &c->old[middle];
        if (order > 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* ---- pickles ---- */

/* Runs the pickle that begins at *at, and moves behind it. */
static wg_status run(wg__pt *c, wg__pickle *p, size_t size, size_t *at, wg__pvalue *root)
{
    *p = (wg__pickle){.path = c->file->path, .text = c->text + *at, .size = size - *at};
    wg_status status = wg__pickle_run(p, root, c->error);
    *at += p->at;
    return status;
}

/* The facts have "little_endian", which is put into the memo (2 bytes), and True. */
static wg_status skip_facts(wg__pt *c, size_t size, size_t *at)
{
    static const char word[] = "little_endian";
    wg__pickle p;
    wg__pvalue root;
    const size_t from = *at;
    wg_status status = run(c, &p, size, at, &root);
    wg__pickle_fini(&p);
    if (status != WG_OK) return status;
    const char *found = memmem(c->text + from, *at - from, word, sizeof word - 1);
    const char *value = found ? found + sizeof word - 1 + 2 : NULL;
    return value && value < c->text + *at && *value == '\x88'
               ? WG_OK
               : wg__tensors_fail(c->file, c->error, "it does not say that it is little-endian");
}

/* The list of keys. The machine does not keep strings of lists, but its memo has them, behind the list. */
static wg_status read_keys(wg__pt *c, size_t size, size_t *at)
{
    wg__pickle p;
    wg__pvalue root;
    const size_t from = *at;
    wg_status status = run(c, &p, size, at, &root);
    const wg__pvalue *memo = (const wg__pvalue *)p.memo.data;
    const size_t n = p.memo.size / sizeof *memo;
    const bool is_list = status == WG_OK && n > 0 && root.kind == WG__P_DICT && root.at == 0;
    if (status == WG_OK && !(is_list && wg__pickle_box(&p, 0)->is_list && wg__pickle_box(&p, 0)->count == n - 1))
        status = wg__tensors_fail(c->file, c->error, "its last pickle is no list of keys");
    if (status == WG_OK) {
        c->old = calloc(n, sizeof *c->old);
        if (!c->old) status = wg__tensors_no_memory(c->file, c->error);
    }
    for (size_t i = 1; i < n && status == WG_OK; i++) {
        if (memo[i].kind != WG__P_TEXT)
            status = wg__tensors_fail(c->file, c->error, "its last pickle is no list of keys");
        c->old[c->n_old++] =
            (wg__old_storage){.key = (uint32_t)(from + (size_t)memo[i].at), .n = memo[i].n, .place = i};
    }
    wg__pickle_fini(&p);
    return status;
}

/* ---- storages ---- */

/* What the pickle says of storages. */
static wg_status measure(wg__pt *c)
{
    const size_t n = c->pickle.storages.size / sizeof(wg__pstorage);
    wg__sort(c->old, c->n_old, sizeof *c->old, key_before, c);
    for (size_t i = 1; i < c->n_old; i++)
        if (!key_before(c, &c->old[i - 1], &c->old[i]))
            return wg__tensors_fail(c->file, c->error, "it has a storage twice");
    for (size_t i = 0; i < n; i++) {
        const wg__pstorage *s = wg__pickle_storage(&c->pickle, (int64_t)i);
        wg__old_storage *old = find(c, c->pickle.text + s->key.at, s->key.n);
        const int width = wg__types[s->type].bits / 8;
        if (!old) return wg__tensors_fail(c->file, c->error, "a storage of a tensor is not in the file");
        if (old->width && old->width != width)
            return wg__tensors_fail(c->file, c->error, "a storage has two types");
        old->width = width;
    }
    return WG_OK;
}

/* Finds the storages in the file, in the order of the list, from `at` on. */
static wg_status place(wg__pt *c, uint64_t at)
{
    wg__sort(c->old, c->n_old, sizeof *c->old, place_before, NULL);
    for (size_t i = 0; i < c->n_old; i++) {
        wg__old_storage *s = &c->old[i];
        wg_status status = wg__source_read(c->source, at, &s->numel, sizeof s->numel, c->error);
        if (status != WG_OK) return status;
        s->place = at += sizeof s->numel;
        if (!s->width) return wg__tensors_fail(c->file, c->error, "it has a storage that no tensor has");
        if (s->numel < 0 || (uint64_t)s->numel > (c->source->size - at) / (uint64_t)s->width)
            return wg__tensors_fail(c->file, c->error, "file is truncated");
        at += (uint64_t)s->numel * (uint64_t)s->width;
    }
    if (at != c->source->size) return wg__tensors_fail(c->file, c->error, "bytes behind its last storage");
    wg__sort(c->old, c->n_old, sizeof *c->old, key_before, c);
    return WG_OK;
}

static wg_status read_storage(wg__pt *c, const wg__pstorage *s, uint64_t *begin)
{
    wg__old_storage *old = find(c, c->pickle.text + s->key.at, s->key.n); /* there is one: measure looked */
    if (old->numel != s->numel) return wg__pt_fail(c, "its storage has another size than the pickle says");
    if (!old->begin) {
        const size_t n = (size_t)old->numel * (size_t)old->width;
        old->begin = c->file->data_size + 1;
        char *to = wg__tensors_more(c->file, n, c->total + c->copied, c->at_once);
        wg_status status =
            to ? wg__source_read(c->source, old->place, to, n, c->error) : wg__tensors_no_memory(c->file, c->error);
        if (status != WG_OK) return status;
    }
    *begin = old->begin - 1;
    return WG_OK;
}

/* ---- the file ---- */

static wg_status read_pickles(wg__pt *c)
{
    const size_t most = 2 * (size_t)WG__PICKLE_LIMIT,
                 size = c->source->size < most ? (size_t)c->source->size : most;
    wg__pvalue root = {WG__P_OTHER, 0, 0};
    size_t at = MAGIC;
    c->text = malloc(size + 1);
    if (!c->text) return wg__tensors_no_memory(c->file, c->error);
    wg_status status = wg__source_read(c->source, 0, c->text, size, c->error);
    if (status == WG_OK && (size < MAGIC || memcmp(c->text, magic, MAGIC) != 0))
        return wg__tensors_fail(c->file, c->error, "a pickle, but not one of torch.save");
    if (status == WG_OK) status = skip_facts(c, size, &at);
    if (status == WG_OK) status = run(c, &c->pickle, size, &at, &root);
    if (status == WG_OK) status = read_keys(c, size, &at);
    if (status == WG_OK) status = measure(c);
    if (status == WG_OK) status = place(c, at);
    return status == WG_OK ? wg__pt_walk(c, &root) : status;
}

wg_status wg__read_pt_old(wg_safetensors *file, wg__source *source, wg_error *error)
{
    wg__pt c = {.read_storage = read_storage,
                .file = file,
                .source = source,
                .total = source->size,
                .at_once = source->size,
                .error = error};
    wg_status status = read_pickles(&c);
    wg__pickle_fini(&c.pickle);
    free(c.text);
    free(c.old);
    return status;
}
