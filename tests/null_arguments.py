#!/usr/bin/env python3
"""Writes a C program that calls every public function with bad arguments.

    null_arguments.py OUT ROOT DEPENDENCIES COMPILER...

The functions are those that ROOT/wengert.h declares with WG_API, after preprocessing. Each is called with all arguments
zero, with valid ones (objects of null_arguments.h), and with valid ones but one: a NULL pointer, an unset, nil, stale or
invented tensor, a zeroed struct, numbers and enums out of range. A type without a valid value is an error: add one to
VALUES."""
import re
import subprocess
import sys

ATTRIBUTE = r'__attribute__ ?\(\((?:[^()]|\([^()]*\))*\)\)'

# Valid values by type, or by type and name of the parameter.
VALUES = {
    ('const wg_onnx_named *', 'inputs'): 'w.named_in', ('const wg_onnx_named *', 'outputs'): 'w.named_out',
    'wg_tape *': 'w.tape', 'wg_pool *': 'w.pool', 'wg_params *': 'w.set', 'wg_param *': 'w.param',
    'wg_buffer *': 'w.buffer', 'wg_tensor': 'w.x', 'const wg_tensor *': 'w.many', 'wg_tensor *': 'w.out',
    'wg_optimizer *': 'w.optimizer', 'struct wg_optimizer *': 'w.optimizer', 'wg_average *': 'w.average',
    'wg_loader *': 'w.loader', 'wg_log_file *': 'w.log', 'wg_report *': 'w.report', 'wg_series *': 'w.series',
    'wg_trace_fn': 'on_trace', 'wg_scope_fn': 'on_scope', 'uint8_t *': 'w.pixels',
    'wg_safetensors *': 'w.file', 'wg_op *': '&nop', 'wg_infer *': '&w.infer',
    'wg_args *': '&w.args', 'wg_error *': '&w.error', 'FILE *': 'w.null', 'wg_idx *': '&w.idx',
    'wg_text *': '&w.text', 'wg_entry *': '&w.entry', 'wg_pair *': '&w.pair', 'wg_checkpoint *': '&w.checkpoint',
    'wg_onnx *': 'w.onnx', 'wg_trainer *': 'w.trainer', 'wg_fit_batch *': '&w.fit_batch', 'wg_fit_options *': '&w.fit',
    'wg_fit_result *': '&w.result', 'wg_progress *': '&w.progress', ('void *', 'progress'): '&w.progress',
    'wg_csv *': 'w.csv', 'wg_categories *': '&w.categories', 'wg_picture *': '&w.picture', 'wg_sound *': '&w.sound',
    'wg_dataset *': '&w.dataset', 'wg_feed *': 'w.feed', 'wg_batch *': '&w.batch', 'wg_sample *': '&w.sample',
    'wg_confusion *': 'w.confusion', 'wg_perplexity *': '&w.perplexity', 'wg_bleu *': '&w.bleu',
    'int32_t *': 'w.classes', 'const char *const *': 'w.words',
    'wg_early_stop *': '&w.stop', 'wg_difference *': '&w.difference', 'wg_param *const *': '&w.param',
    'wg_shape': 'WG_DIMS(4, 6)', 'wg_axes': 'WG_AXES(0)', 'wg_shape *': '&w.shape', 'wg_init': 'wg_init_zeros()',
    'wg_allocator': '(wg_allocator){0}', 'wg_pool_options': 'wg_pool_square(3)', 'wg_keys *': '&w.keys',
    'wg_beam_result *': '&w.beams', 'wg_rnn_state *': '&w.state', 'wg_error_callback': 'on_error',
    'wg_gradient_callback': 'on_gradient',
    'wg_loss_fn': 'loss', 'wg_step_fn': 'step', 'wg_beam_fn': 'score', 'wg_tolerate': 'wg_tolerate_all', 'wg_fill': 'fill',
    'int': '1', 'int32_t': '1', 'int64_t': '2', 'uint64_t': '2', 'size_t': '8', 'double': '0.5', 'bool': 'true',
    'const char *': '"name"', 'char *': 'w.bytes', 'void *': 'w.bytes', 'float *': 'w.floats',
    'int64_t *': 'w.integers', 'int *': 'w.ints', 'size_t *': '&w.size', 'double *': 'w.doubles',
    'wg_dtype *': '&w.dtype', 'const char **': '&w.string', 'const int64_t **': '&w.samples',
    'void **': '&w.pointer', 'va_list': 'no_arguments',
    ('const char *', 'path'): 'w.path', ('const char *', 'folder'): '"/proc"',
    ('const char *', 'formula'): '"ij,kj,lj->ikl"',
    ('const char *', 'column'): '"a"', ('const char *', 'columns'): '"a"', ('size_t', 'm'): '1', ('size_t', 'bytes'): 'sizeof(float) * 4 * 6',
    ('const char *', 'rule'): '"x"', ('const char *', 'format'): '"x"', ('const char *', 'passes'): '"after-fuse"',
    ('wg_tensor', 'index'): 'w.index', ('wg_tensor', 'labels'): 'w.index', ('wg_tensor', 'lengths'): 'w.index',
    ('wg_tensor', 'token'): 'w.index', ('wg_tensor', 'position'): 'w.index', ('wg_tensor', 'mask'): 'w.mask',
    ('wg_tensor', 'loss'): 'w.loss', ('wg_tensor', 'weight'): 'w.weight', ('wg_tensor', 'bias'): 'w.bias',
    ('int', 'n'): '3', ('int', 'n_in'): '2', ('int', 'n_out'): '1', ('int', 'T'): '3', ('int', 'axis'): '0', ('int64_t', 'size'): '6',
    ('int64_t', 'heads'): '2', ('size_t', 'n'): '1', ('size_t', 'n_tensors'): '1', ('size_t', 'n_metadata'): '1',
}
ENUMS = {'wg_status': 'WG_ERR_SHAPE', 'wg_dtype': 'WG_F32', 'wg_reduction': '(wg_reduction)0', 'wg_cell': 'WG_LSTM',
         'wg_gate_order': 'WG_GATES_TORCH', 'wg_position_kind': 'WG_POSITION_LEARNED', 'wg_pad_mode': 'WG_PAD_REFLECT',
         'wg_resize_mode': 'WG_RESIZE_LINEAR', 'wg_fit_event': 'WG_FIT_STEP',
         'wg_scatter_mode': 'WG_SCATTER_SUM'}
CALLBACKS = ('wg_error_callback', 'wg_gradient_callback', 'wg_loss_fn', 'wg_step_fn', 'wg_beam_fn', 'wg_tolerate',
             'wg_trace_fn', 'wg_scope_fn', 'wg_fill')
SKIP = {('wg_pool_new', 'threads'): 'a large number starts as many threads'}
TENSORS = ['WG_NONE', 'w.nil', 'w.stale', 'w.elsewhere', '(wg_tensor){.node = 5}',
           '(wg_tensor){.tape = w.tape, .epoch = w.x.epoch, .node = 1u << 30}']
SHAPES = ['(wg_shape){0}', '(wg_shape){.rank = 99}', 'WG_DIMS(-1)', 'WG_DIMS(INT64_MAX, 4)', '(wg_shape){.rank = -1}']
# Numbers out of range; the second list, large ones, only where no argument is an array that they may be the size of.
NUMBERS = {
    'int': (['0', '-1', 'INT_MIN'], ['INT_MAX']), 'int32_t': (['0', '-1', 'INT_MIN'], ['INT_MAX']),
    'int64_t': (['0', '-1', 'INT64_MIN'], ['INT64_MAX', 'INT64_C(1) << 40']),
    'uint64_t': (['0', 'UINT64_MAX'], []), 'size_t': (['0'], ['SIZE_MAX', 'SIZE_MAX / 2']),
    'double': (['0', '-1', 'NAN', 'INFINITY', '-INFINITY', '1e308', '-1e-310'], []),
}
ARRAYS = ('wg_tensor *', 'void *', 'float *', 'int32_t *', 'int64_t *', 'int *', 'char *', 'wg_entry *', 'wg_pair *', 'wg_onnx_named *',
          'wg_param *const *', 'char *const *', 'uint8_t *', 'const char *const *', 'wg_series *')


def split(text):
    parts, depth, part = [], 0, ''
    for c in text:
        depth += (c == '(') - (c == ')')
        if c == ',' and depth == 0:
            parts.append(part.strip())
            part = ''
        else:
            part += c
    return parts + [part.strip()]


def argument(parameter):
    """'const wg_tensor *x' -> ('const wg_tensor *', 'x')"""
    parameter = re.sub(r'(\w+) ?\[\w*\]', r'*\1', parameter)
    kind, name = re.match(r'(.*?)(\w+)$', parameter).groups()
    return kind.strip(), name


def parse(root, dependencies, compiler):
    """The functions as (name, result, arguments), and {type: the function that returns its defaults}."""
    command = compiler + ['-E', '-P', '-I' + root, '-MD', '-MF', dependencies, '-MT', 'tests/null_calls.c', '-x', 'c',
                          root + '/wengert.h']
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout
    text = re.sub(r'\s+', ' ', text).replace('_Bool', 'bool')
    functions, defaults = [], {}
    pattern = '((?:' + ATTRIBUTE + r' )+)([^;{}]*?\bwg_\w+ ?\([^;{}]*\))(?: ' + ATTRIBUTE + ')?;'
    for attributes, declaration in re.findall(pattern, text):
        if 'visibility' not in attributes:
            continue
        declaration = re.sub(ATTRIBUTE, '', declaration).strip()
        result, name, parameters = re.match(r'(.*?)(\bwg_\w+) ?\((.*)\)$', declaration).groups()
        arguments = [argument(p) for p in split(parameters) if p not in ('void', '...')]
        result = result.strip()
        if not arguments and name.endswith('_defaults'):
            defaults[result] = name
        functions.append((name, result, arguments))
    inline = re.search(r'static inline [^{;]*\bwg_\w+ ?\([^{;]*\) ?\{', text)
    if inline:
        sys.exit('null_arguments.py: static inline functions are not parsed yet: ' + inline.group())
    return functions, defaults


def valid(function, kind, name, defaults, layers):
    bare = re.sub('^const ', '', kind)
    layer = re.sub(r'^wg_| \*$', '', bare)
    if kind.endswith('*') and layer in layers:
        return ('&fresh.' if function.endswith('_init') and not kind.startswith('const') else '&w.l.') + layer
    for key in ((kind, name), kind, (bare, name), bare):
        if key in VALUES:
            return VALUES[key]
    if kind in defaults:
        return defaults[kind] + '()'
    if kind in ENUMS:
        return ENUMS[kind]
    sys.exit(f'null_arguments.py: {function}: no valid value for {kind} {name}: add one to VALUES')


def zero(kind):
    if kind.endswith('*') or kind in CALLBACKS:
        return 'NULL'
    if kind == 'va_list':
        return 'no_arguments'
    return f'({kind}){{0}}' if kind.startswith('wg_') and kind not in ENUMS else '0'


def bad(function, kind, name, arrays, layer):
    """The values in place of a valid one."""
    if (function, name) in SKIP or kind == 'va_list':
        return []
    if kind == 'wg_tensor':
        return TENSORS
    if kind == 'wg_shape':
        return SHAPES
    if kind in NUMBERS:
        return NUMBERS[kind][0] + ([] if arrays else NUMBERS[kind][1])
    if kind in ENUMS:
        return [f'({kind})99', f'({kind})-1']
    if kind == 'const char *':
        return ['NULL', '""', 'w.long_name']
    if layer.startswith('&w.l.'):
        return ['NULL', layer.replace('&w.l.', '&fresh.')]
    return ['false'] if kind == 'bool' else [zero(kind)]


def calls_of(name, arguments, defaults, layers):
    """The argument lists."""
    values = [valid(name, kind, argument, defaults, layers) for kind, argument in arguments]
    arrays = any(re.sub('^const ', '', kind) in ARRAYS and kind != 'const char *' for kind, _ in arguments)
    calls = [values]
    if arguments:
        calls.append([zero(kind) for kind, _ in arguments])
    for i, (kind, argument_name) in enumerate(arguments):
        calls += [values[:i] + [value] + values[i + 1:] for value in bad(name, kind, argument_name, arrays, values[i])]
    return [f'{name}({", ".join(call)})' for call in calls]


def quote(text):
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"') + '"'


def main():
    path, root, dependencies, compiler = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    with open(root + '/tests/null_arguments.h', encoding='ascii') as file:
        layers = re.findall(r'wg_\w+ (\w+);', file.read().split('typedef struct layers {')[1].split('}')[0])
    functions, defaults = parse(root, dependencies, compiler)
    if len(functions) < 400:
        sys.exit(f'null_arguments.py: found only {len(functions)} functions')
    out, rows = ['/* Written by tests/null_arguments.py. */', '#include "null_arguments.h"', ''], []
    for name, result, arguments in functions:
        out.append(f'static void call_{name}(int variant)\n{{\n    switch (variant) {{')
        for i, call in enumerate(calls_of(name, arguments, defaults, layers)):
            checked = {'wg_status': f'check_status({call})', 'wg_tensor': f'check_tensor({call})', 'void': call}
            out.append(f'    case {i}: {checked.get(result, "(void)" + call)}; break;')
            rows.append(f'    {{call_{name}, {i}, {quote(call)}}},')
        out.append('    }\n}\n')
    out += ['const call_row call_rows[] = {'] + rows + ['};']
    out.append('const size_t n_call_rows = sizeof call_rows / sizeof *call_rows;')
    with open(path, 'w', encoding='ascii') as file:
        file.write('\n'.join(out) + '\n')


main()
