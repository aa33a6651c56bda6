/* Internal to io/: the files of torch.save, in their two forms: a zip archive (pt.c), and what PyTorch wrote before
 * 1.6, or writes with _use_new_zipfile_serialization=False (pt_old.c). Both have a pickle of dicts of tensors; where
 * storages are differs. */
#ifndef WG_PT_H
#define WG_PT_H

#include "npy.h"
#include "pickle.h"

enum { WG__PT_PATH = 1000 };

/* A storage of the old form, by its key. */
typedef struct wg__old_storage {
    uint32_t key, n;       /* offset and length of the key in the text */
    uint64_t place, begin; /* of its elements: in the file; in the data, plus 1 (0: not read) */
    int64_t numel;
    int width; /* bytes of an element; 0: no tensor has it */
} wg__old_storage;

typedef struct wg__pt wg__pt;
struct wg__pt {
    /* Reads the elements of a storage, unless another tensor has done that. *begin: where they are in the data. */
    wg_status (*read_storage)(wg__pt *c, const wg__pstorage *s, uint64_t *begin);
    wg_safetensors *file;
    wg__source *source;
    wg__pickle pickle;
    char *text;              /* that has the pickle */
    uint64_t total, at_once; /* what the data will have without copies, and how much of that is taken at once */
    uint64_t copied;         /* bytes of copies */
    size_t visits;           /* items of dicts */
    char path[WG__PT_PATH + 1];
    wg_error *error;
    /* An archive. */
    wg__zip *zip;
    const wg__member *root; /* NAME/data.pkl */
    size_t folder;          /* the length of NAME/ */
    uint64_t *begin;        /* [members] where a storage is in the data, plus 1; 0: not read */
    uint8_t *width;         /* [members] bytes of an element of it */
    bool big_endian;
    /* The old form. */
    wg__old_storage *old; /* [n_old], sorted by key */
    size_t n_old;
};

/* Stores "FILE: PATH: reason": WG_ERR_FORMAT. */
wg_status wg__pt_fail(const wg__pt *c, const char *reason);
/* Adds the tensors of what the pickle made, and sorts them. */
wg_status wg__pt_walk(wg__pt *c, const wg__pvalue *root);
#endif
