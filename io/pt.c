/* Reads the tensors of PyTorch's .pt and .pth: what torch.save (1.6 or later) writes for a state dict, a checkpoint
 * dict with state dicts in it, or a list, at any depth. A zip archive: NAME/data.pkl, the pickle (pickle.h), and
 * NAME/data/KEY, the elements of a storage, which tensors share.
 *
 * A tensor's name is the path of keys to it, joined by dots: "state_dict.encoder.weight". Storages are read into the
 * data one after the other, and contiguous tensors are in them, also those that share one; of another tensor there is
 * a contiguous copy behind. The copies take at most the file's size. */
#include "hdf5.h"
#include "pt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 32 };

wg_status wg__pt_fail(const wg__pt *c, const char *reason)
{
    const char *colon = c->path[0] ? ": " : ""; /* the root has no name */
    return wg_error_set(c->error, WG_ERR_FORMAT, WG__AT "%.90s%s%s", c->file->path, c->path, colon, reason);
}

/* ---- members ---- */

/* NAME/data.pkl, or NULL. */
static const wg__member *find_pickle(const wg__zip *zip, size_t *folder)
{
    static const char end[] = "data.pkl";
    for (size_t i = 0; i < zip->n; i++) {
        const char *name = zip->members[i].name, *slash = strchr(name, '/');
        *folder = slash ? (size_t)(slash + 1 - name) : 0;
        if (strcmp(name + *folder, end) == 0) return &zip->members[i];
    }
    return NULL;
}

/* NAME/REST, where REST has n bytes; NULL. */
static const wg__member *find_in_folder(const wg__pt *c, const char *rest, size_t n)
{
    char name[600];
    const int length = snprintf(name, sizeof name, "%.*s%.*s", (int)c->folder, c->root->name, (int)n, rest);
    return length >= 0 && (size_t)length < sizeof name ? wg__zip_find(c->zip, name) : NULL;
}

static wg_status read_whole(wg__pt *c, const wg__member *m, char *to)
{
    wg_status status = wg__zip_begin(c->zip, m, c->error);
    if (status == WG_OK) status = wg__zip_take(c->zip, to, m->size, c->error);
    return status == WG_OK ? wg__zip_end(c->zip, c->error) : status;
}

/* NAME/byteorder is "little" or "big"; older files have none, and are little-endian. */
static wg_status read_byteorder(wg__pt *c)
{
    char order[8] = {0};
    const wg__member *m = find_in_folder(c, "byteorder", 9);
    if (!m) return WG_OK;
    wg_status status = m->size < sizeof order ? read_whole(c, m, order) : WG_OK;
    if (status != WG_OK) return status;
    c->big_endian = strcmp(order, "big") == 0;
    return c->big_endian || strcmp(order, "little") == 0
               ? WG_OK
               : wg__tensors_fail(c->file, c->error, "its byteorder is neither little nor big");
}

/* ---- storages ---- */

/* Reads the elements of a storage, unless another tensor has done that. *begin: where they are in the data. */
static wg_status read_storage(wg__pt *c, const wg__pstorage *s, uint64_t *begin)
{
    enum { PIECE = 1 << 20, MOST_KEY = 100 };
    char rest[MOST_KEY + 8];
    const size_t width = wg__types[s->type].bits / 8;
    const int n = snprintf(rest, sizeof rest, "data/%.*s", s->key.n < MOST_KEY ? (int)s->key.n : MOST_KEY,
                           c->pickle.text + s->key.at);
    const wg__member *m = find_in_folder(c, rest, (size_t)n);
    if (!m) return wg__pt_fail(c, "its storage is not in the file");
    if (m->size / width != (uint64_t)s->numel || m->size % width != 0)
        return wg__pt_fail(c, "its storage has another size than the pickle says");
    const size_t index = (size_t)(m - c->zip->members);
    if (c->begin[index] && c->width[index] != width && c->big_endian)
        return wg__pt_fail(c, "its storage has two types, and is big-endian");
    *begin = c->begin[index] ? c->begin[index] - 1 : c->file->data_size;
    if (c->begin[index]) return WG_OK;
    wg_status status = wg__zip_begin(c->zip, m, c->error);
    for (uint64_t left = m->size; status == WG_OK && left > 0;) {
        const size_t part = left < PIECE ? (size_t)left : PIECE;
        char *to = wg__tensors_more(c->file, part, c->total + c->copied, c->at_once);
        status = to ? wg__zip_take(c->zip, to, part, c->error) : wg__tensors_no_memory(c->file, c->error);
        left -= part;
    }
    if (status == WG_OK) status = wg__zip_end(c->zip, c->error);
    if (status != WG_OK) return status;
    if (c->big_endian && m->size) wg__reverse_each(c->file->data + *begin, m->size, width);
    c->begin[index] = *begin + 1;
    c->width[index] = (uint8_t)width;
    return WG_OK;
}

/* ---- tensors ---- */

/* The last element that a tensor reads must be in its storage. */
static bool is_inside(const wg__ptensor *t, const wg_shape *shape, const int64_t *strides, int64_t numel)
{
    int64_t last = t->offset, step;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->size[i] == 0) return true;
        if (__builtin_mul_overflow(shape->size[i] - 1, strides[i], &step) ||
            __builtin_add_overflow(last, step, &last))
            return false;
    }
    return last < numel;
}

/* Puts a contiguous copy behind the data. *begin: where it is. */
static wg_status copy_tensor(wg__pt *c, const wg_shape *shape, const int64_t *strides, size_t width, int64_t numel,
                             uint64_t *begin)
{
    const uint64_t most = c->source->size, bytes = (uint64_t)numel * width, from = *begin;
    if (bytes > most - c->copied)
        return wg__pt_fail(
            c, "with it, tensors that are not contiguous have more elements than the file: save .contiguous()");
    c->copied += bytes;
    *begin = c->file->data_size;
    char *to = wg__tensors_more(c->file, bytes, c->total + c->copied, c->at_once);
    if (!to) return wg__tensors_no_memory(c->file, c->error);
    wg__copy_strided(c->file->data + from, shape, strides, width, to);
    return WG_OK;
}

/* Adds the tensor under the name c->path. */
static wg_status add_tensor(wg__pt *c, const wg__ptensor *t)
{
    const wg__pstorage *s = wg__pickle_storage(&c->pickle, t->storage);
    const size_t width = wg__types[s->type].bits / 8;
    int64_t size[WG_MAX_RANK], strides[WG_MAX_RANK], numel = 0;
    uint64_t begin = 0;
    for (int i = 0; i < t->rank; i++) {
        size[i] = wg__pickle_cell(&c->pickle, t->size + i)->at;
        strides[i] = wg__pickle_cell(&c->pickle, t->strides + i)->at;
    }
    const wg_shape shape = wg_shape_of(t->rank, size);
    /* The pickle can name a tensor many times. Honest ones take more than 16 bytes, and more than their names. */
    if (c->file->n_tensors > 64 + c->source->size / 16 || c->file->text.size > (1 << 16) + c->source->size)
        return wg__pt_fail(c, "up to it, there are more tensors than a file of this size has");
    if (!wg_shape_numel(&shape, &numel)) return wg__pt_fail(c, "it has too many elements");
    if (!is_inside(t, &shape, strides, s->numel)) return wg__pt_fail(c, "it reads past its storage");
    wg_status status = c->read_storage(c, s, &begin);
    if (status != WG_OK) return status;
    if (numel > 0) begin += (uint64_t)t->offset * width;
    if (!wg__is_row_major(&shape, strides)) status = copy_tensor(c, &shape, strides, width, numel, &begin);
    return status == WG_OK ? wg__tensors_add(c->file, c->path, s->type, &shape, begin, c->error) : status;
}

/* ---- names ---- */

static wg_status walk(wg__pt *c, const wg__pvalue *value, size_t length, int depth);

/* Appends ".KEY" to the path of this length, and goes on with the value under the key. */
static wg_status walk_item(wg__pt *c, const wg__pvalue *key, const wg__pvalue *value, size_t length, int depth)
{
    const size_t room = sizeof c->path - length;
    const char *dot = length > 0 ? "." : "";
    int n = -1;
    if (key->kind == WG__P_TEXT)
        n = snprintf(c->path + length, room, "%s%.*s", dot, (int)key->n, c->pickle.text + key->at);
    if (key->kind == WG__P_INT) n = snprintf(c->path + length, room, "%s%" PRId64, dot, key->at);
    if (n < 0) return wg__pt_fail(c, "a key under it is neither a string nor an integer");
    if ((size_t)n >= room) return wg__pt_fail(c, "names longer than 1000 bytes");
    /* Dicts can be shared, so that paths multiply; honest files name an item a few times. */
    if (++c->visits >
        64 + 8 * (c->pickle.items.size / sizeof(wg__pitem) + c->pickle.cells.size / sizeof(wg__pvalue)))
        return wg__pt_fail(c, "its dicts contain each other too often");
    return walk(c, value, length + (size_t)n, depth + 1);
}

static wg_status walk(wg__pt *c, const wg__pvalue *value, size_t length, int depth)
{
    wg_status status = WG_OK;
    if (depth > MOST_DEPTH) return wg__pt_fail(c, "its dicts are nested more than 32 deep");
    if (value->kind == WG__P_TENSOR) {
        if (length == 0) strcpy(c->path, "tensor"); /* alone in the file */
        return add_tensor(c, wg__pickle_tensor(&c->pickle, value->at));
    }
    if (value->kind == WG__P_DICT)
        for (uint32_t id = wg__pickle_box(&c->pickle, value->at)->first; id && status == WG_OK;) {
            const wg__pitem *item = wg__pickle_item(&c->pickle, id);
            status = walk_item(c, &item->key, &item->value, length, depth);
            id = item->next;
        }
    for (uint32_t i = 0; value->kind == WG__P_TUPLE && i < value->n && status == WG_OK; i++) {
        const wg__pvalue index = {WG__P_INT, 0, i};
        status = walk_item(c, &index, wg__pickle_cell(&c->pickle, value->at + i), length, depth);
    }
    return status;
}

wg_status wg__pt_walk(wg__pt *c, const wg__pvalue *root)
{
    if (!wg__tensors_more(c->file, 0, c->total, c->at_once)) return wg__tensors_no_memory(c->file, c->error);
    wg_status status = walk(c, root, 0, 0);
    return status == WG_OK ? wg__tensors_sort(c->file, c->error) : status;
}

/* ---- the file ---- */

static wg_status run_pickle(wg__pt *c)
{
    const wg__member *m = c->root;
    wg__pvalue root;
    if (m->size > WG__PICKLE_LIMIT) return wg__tensors_fail(c->file, c->error, "a data.pkl of more than 4 MiB");
    c->text = malloc(m->size + 1);
    c->begin = calloc(c->zip->n, sizeof *c->begin);
    c->width = calloc(c->zip->n, sizeof *c->width);
    if (!c->text || !c->begin || !c->width) return wg__tensors_no_memory(c->file, c->error);
    wg_status status = read_byteorder(c);
    if (status == WG_OK) status = read_whole(c, m, c->text);
    if (status != WG_OK) return status;
    c->pickle.path = c->file->path;
    c->pickle.text = c->text;
    c->pickle.size = m->size;
    if ((status = wg__pickle_run(&c->pickle, &root, c->error)) != WG_OK) return status;
    return wg__pt_walk(c, &root);
}

static wg_status read_pt(wg_safetensors *file, wg__zip *zip, const wg__member *root, size_t folder, wg_error *error)
{
    wg__pt c = {.read_storage = read_storage,
                .file = file,
                .source = zip->source,
                .total = zip->total,
                .at_once = zip->stored,
                .zip = zip,
                .root = root,
                .folder = folder,
                .error = error};
    wg_status status = run_pickle(&c);
    wg__pickle_fini(&c.pickle);
    free(c.text);
    free(c.begin);
    free(c.width);
    return status;
}

wg_status wg__read_archive(wg_safetensors *file, wg__source *source, wg_error *error)
{
    wg__zip zip;
    size_t folder = 0;
    wg_status status = wg__zip_open(&zip, source, error);
    if (status != WG_OK) return status;
    const wg__member *pickle = find_pickle(&zip, &folder), *keras = wg__zip_find(&zip, WG__KERAS_WEIGHTS);
    status = pickle  ? read_pt(file, &zip, pickle, folder, error)
             : keras ? wg__read_keras(file, &zip, keras, error)
                     : wg__read_npz(file, &zip, error);
    wg__zip_close(&zip);
    return status;
}
