// twin.c by wengert.hpp, and what owners and errors do: the program fails, with a line, if one is not as documented.
#include <wengert.hpp>

#include <cstdio>
#include <type_traits>

enum { STEPS = 40, TIME = 6, BATCH = 16, HIDDEN = 16 };

static_assert(!std::is_copy_constructible<wengert::tape>::value &&
                  !std::is_copy_assignable<wengert::params>::value &&
                  std::is_nothrow_move_constructible<wengert::optimizer>::value &&
                  std::is_nothrow_move_assignable<wengert::pool>::value,
              "owners are moved only");

static bool expect(bool truth, const char *what)
{
    if (!truth) std::fprintf(stderr, "twin.cpp: not so: %s\n", what);
    return truth;
}

static wg_tensor rnn(wg_tape *tape, wg_tensor x, wg_param *wx, wg_param *wh, wg_param *b)
{
    wengert::scope scope(tape, "rnn");
    wg_tensor h = wg_zeros(tape, WG_F32, WG_DIMS(BATCH, HIDDEN));
    for (int t = 0; t < TIME; t++)
        h = wg_tanh(wg_linear(wg_select(x, 0, t), wg_use(tape, wx), wg_use(tape, b)) +
                    wg_linear(h, wg_use(tape, wh), WG_NONE));
    return h;
}

static bool train(wengert::tape &tape)
{
    wengert::params model(WG_F32, 3);
    wg_param *wx = wg_param_new(model, "wx", WG_DIMS(HIDDEN, 1), wg_init_glorot());
    wg_param *wh = wg_param_new(model, "wh", WG_DIMS(HIDDEN, HIDDEN), wg_init_orthogonal(1));
    wg_param *b = wg_param_new(model, "b", WG_DIMS(HIDDEN), wg_init_zeros());
    wg_param *wy = wg_param_new(model, "wy", WG_DIMS(1, HIDDEN), wg_init_glorot());
    wengert::optimizer adam = wengert::adam(model);
    if (adam.set_lr(0.01) != WG_OK || !expect(adam.lr() == 0.01, "the rate is set")) return false;
    for (int step = 0; step < STEPS; step++) {
        wg_set_step(tape, static_cast<uint64_t>(step));
        wg_tensor x = wg_uniform(tape, WG_F32, WG_DIMS(TIME, BATCH, 1), -1, 1);
        wg_tensor h = rnn(tape, x, wx, wh, b);
        wg_tensor y = wg_linear(h, wg_use(tape, wy), WG_NONE);
        wg_tensor wrong = wg_sum(x, WG_AXES(0), false) / 2 - y, weight = wg_use(tape, wh);
        wg_tensor loss = wg_mean_all(wrong * wrong);
        loss += 0.01 * wg_mean_all(weight * weight);
        wg_tensor share = wg_mean_all(wg_cast(wengert::less(-wrong, wg_abs(y)), WG_F32));
        wg_tensor odd = 1 - 2 / (share + 3 - 1);
        wg_zero_grad(model);
        wg_keep(odd);
        if (wengert::backward(loss) == WG_OK && adam.step() != WG_OK) return false;
        std::printf("%a %a\n", wg_item(loss), wg_item(odd));
        if (tape.reset() != WG_OK) return false;
    }
    return expect(model.status() == WG_OK && adam.status() == WG_OK, "no error is left");
}

// The other operators, on numbers that are exact.
static bool operators(wengert::tape &tape)
{
    wg_tensor a = wg_scalar(tape, WG_F32, 6), b = wg_scalar(tape, WG_F32, 3), c = a;
    bool right = expect(wg_item(a / b) == 2 && wg_item(b * 4) == 12 && wg_item(1 + a) == 7, "6 / 3, 3 * 4, 1 + 6");
    c -= b;
    c *= 5;
    c /= b;
    right = right && expect(wg_item(c) == 5 && wg_item(a) == 6, "(6 - 3) * 5 / 3");
    const wg_tensor masks[] = {wengert::equal(a, b), wengert::not_equal(a, b), wengert::less_equal(a, b),
                               wengert::greater(a, b), wengert::greater_equal(b, a)};
    const bool truths[] = {false, true, false, true, false};
    for (int i = 0; i < 5; i++) right = right && expect((wg_item(masks[i]) != 0) == truths[i], "a comparison");
    wg_tensor gradient = WG_NONE;
    {
        wengert::no_grad none(tape);
        gradient = a * a;
    }
    right = right && expect(wengert::eval(gradient) == WG_OK && wg_item(gradient) == 36, "6 * 6");
    right = right && expect(wg_item(wg_grad1(gradient + a, a, WG_NONE)) == 1, "a region without gradients");
    return tape.reset() == WG_OK && right;
}

static bool owners()
{
    wengert::pool pool(1), other(std::move(pool));
    wengert::tape first, second;
    wg_tape *held = first.get();
    second = std::move(first);
    return expect(!pool && other && !first && second.get() == held, "a move empties the source");
}

static wg_status fail(wengert::tape &tape)
{
    wg_matmul(wg_zeros(tape, WG_F32, WG_DIMS(2, 3)), wg_zeros(tape, WG_F32, WG_DIMS(4, 5)));
#ifdef WENGERT_EXCEPTIONS
    try {
        tape.reset();
    } catch (const wengert::error &e) {
        return expect(std::string(e.what()) == tape.message(), "what() is the message") ? e.status() : WG_OK;
    }
    return WG_OK;
#else
    return tape.reset();
#endif
}

int main()
{
    wengert::tape tape;
    if (!train(tape) || !operators(tape) || !owners()) return 1;
#ifdef WENGERT_EXCEPTIONS
    try {
        wengert::params none(WG_I32);
        return 1;
    } catch (const wengert::error &) {
    }
#else
    if (!expect(!wengert::params(WG_I32), "a set of i32 is not made")) return 1;
#endif
    const wg_status status = fail(tape);
    std::printf("%s: %s\n", wg_status_name(status), tape.message());
    return 0;
}
