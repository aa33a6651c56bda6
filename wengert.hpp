// Wengert for C++17: operators for tensors, and owners that free what they hold. Header only: every function is an
// inline call of the C API, which remains usable beside it, since an owner converts to the pointer that it holds.
//
//     wengert::params model(WG_F32);
//     wengert::optimizer adam = wengert::adam(model);
//     wengert::tape tape;
//     ...
//     wg_tensor loss = wg_mean_all(wg_square(y - target)) + 0.01 * wg_sum_all(w * w);
//     wg_zero_grad(model);
//     if (wengert::backward(loss) == WG_OK) adam.step();
//     if (tape.reset() != WG_OK) std::fprintf(stderr, "%s\n", tape.message());
//
// Errors are those of the C API: sticky on the tape, the set or the optimizer, and returned as wg_status. An owner that
// could not be made is empty (false as a condition); the C functions accept NULL as an error. With WENGERT_EXCEPTIONS
// defined before this header is included, what computes and returns a wg_status throws wengert::error instead unless it is WG_OK, and
// an owner that could not be made throws it from its constructor.
#ifndef WENGERT_HPP
#define WENGERT_HPP

#include <stdexcept>
#include <string>
#include <utility>

#include "wengert.h"

// ---- operators: of tensors, and of a tensor and a number ---------------------------------------------------------
// Tensors are not compared by == and <, which would read as conditions: wengert::less and its siblings give masks.

inline wg_tensor operator+(wg_tensor a, wg_tensor b) { return wg_add(a, b); }
inline wg_tensor operator-(wg_tensor a, wg_tensor b) { return wg_sub(a, b); }
inline wg_tensor operator*(wg_tensor a, wg_tensor b) { return wg_mul(a, b); }
inline wg_tensor operator/(wg_tensor a, wg_tensor b) { return wg_div(a, b); }
inline wg_tensor operator-(wg_tensor x) { return wg_neg(x); }

inline wg_tensor operator+(wg_tensor x, double c) { return wg_add_scalar(x, c); }
inline wg_tensor operator-(wg_tensor x, double c) { return wg_sub_scalar(x, c); }
inline wg_tensor operator*(wg_tensor x, double c) { return wg_scale(x, c); }
inline wg_tensor operator/(wg_tensor x, double c) { return wg_div_scalar(x, c); }
inline wg_tensor operator+(double c, wg_tensor x) { return wg_add_scalar(x, c); }
inline wg_tensor operator-(double c, wg_tensor x) { return wg_rsub_scalar(c, x); }
inline wg_tensor operator*(double c, wg_tensor x) { return wg_scale(x, c); }
inline wg_tensor operator/(double c, wg_tensor x) { return wg_rdiv_scalar(c, x); }

// a becomes another tensor; the one that it was is unchanged.
template <class T> inline wg_tensor &operator+=(wg_tensor &a, T b) { return a = a + b; }
template <class T> inline wg_tensor &operator-=(wg_tensor &a, T b) { return a = a - b; }
template <class T> inline wg_tensor &operator*=(wg_tensor &a, T b) { return a = a * b; }
template <class T> inline wg_tensor &operator/=(wg_tensor &a, T b) { return a = a / b; }

namespace wengert
{

inline wg_tensor equal(wg_tensor a, wg_tensor b) { return wg_equal(a, b); }
inline wg_tensor not_equal(wg_tensor a, wg_tensor b) { return wg_not_equal(a, b); }
inline wg_tensor less(wg_tensor a, wg_tensor b) { return wg_less(a, b); }
inline wg_tensor less_equal(wg_tensor a, wg_tensor b) { return wg_less_equal(a, b); }
inline wg_tensor greater(wg_tensor a, wg_tensor b) { return wg_greater(a, b); }
inline wg_tensor greater_equal(wg_tensor a, wg_tensor b) { return wg_greater_equal(a, b); }

// ---- errors --------------------------------------------------------------------------------------------------------

class error : public std::runtime_error
{
  public:
    error(wg_status status, const char *message)
        : std::runtime_error(message && *message ? message : wg_status_name(status)), status_(status)
    {
    }
    wg_status status() const noexcept { return status_; }

  private:
    wg_status status_;
};

// Files that are compiled with WENGERT_EXCEPTIONS and files that are not can be linked: their classes differ by name.
#ifdef WENGERT_EXCEPTIONS
inline namespace throwing
{
inline wg_status check(wg_status status, const char *message)
{
    if (status != WG_OK) throw error(status, message);
    return status;
}
#else
inline namespace returning
{
inline wg_status check(wg_status status, const char *) { return status; }
#endif

// ---- owners --------------------------------------------------------------------------------------------------------

// Holds a pointer that free() releases. Moves, and is not copied.
template <class T, void (*free)(T *)> class owner
{
  public:
    owner(owner &&other) noexcept : held(std::exchange(other.held, nullptr)) {}
    owner &operator=(owner &&other) noexcept
    {
        free(std::exchange(held, other.release()));
        return *this;
    }
    owner(const owner &) = delete;
    owner &operator=(const owner &) = delete;
    ~owner() { free(held); }

    operator T *() const noexcept { return held; }
    T *get() const noexcept { return held; }
    T *release() noexcept { return std::exchange(held, nullptr); } // the caller frees it

  protected:
    explicit owner(T *pointer, const char *what) : held(pointer) { check(pointer ? WG_OK : WG_ERR_MEMORY, what); }

  private:
    T *held;
};

// Worker threads. Free it after the tapes that use it: declare it before them.
class pool : public owner<wg_pool, wg_pool_free>
{
  public:
    explicit pool(int threads = 0) : owner(wg_pool_new(threads), "pool: no memory or no threads") {}
};

class tape : public owner<wg_tape, wg_tape_free>
{
  public:
    explicit tape(wg_tape_options options = wg_tape_defaults()) : owner(wg_tape_new(options), "tape: out of memory")
    {
    }

    wg_status status() const { return wg_tape_status(get()); }
    const char *message() const { return wg_tape_message(get()); } // also after reset
    // Returns the first error since the last reset.
    wg_status reset()
    {
        const wg_status status = wg_tape_reset(get());
        return check(status, status == WG_OK ? nullptr : message());
    }
};

// Parameters and buffers. Declare it before the tapes and optimizers that use it.
class params : public owner<wg_params, wg_params_free>
{
  public:
    explicit params(wg_dtype dtype = WG_F32, uint64_t seed = 0)
        : owner(wg_params_new_with(dtype, wg_allocator{}, seed),
                "params: out of memory, or a dtype that is not a float")
    {
    }

    wg_status status() const { return wg_params_status(get()); }
    const char *message() const { return wg_params_message(get()); }
};

class optimizer : public owner<wg_optimizer, wg_optimizer_free>
{
  public:
    // Takes over what wg_adam_new and its siblings return.
    explicit optimizer(wg_optimizer *made) : owner(made, "optimizer: out of memory, or no parameters") {}

    wg_status step() { return check(wg_optimizer_step(get()), message()); }
    double lr() const { return wg_optimizer_lr(get()); }
    wg_status set_lr(double lr) { return check(wg_optimizer_set_lr(get(), lr), message()); }
    wg_status status() const { return wg_optimizer_status(get()); }
    const char *message() const { return wg_optimizer_message(get()); }
};

inline optimizer sgd(wg_params *set, wg_sgd_options options = wg_sgd_defaults())
{
    return optimizer(wg_sgd_new(set, options));
}
inline optimizer rmsprop(wg_params *set, wg_rmsprop_options options = wg_rmsprop_defaults())
{
    return optimizer(wg_rmsprop_new(set, options));
}
inline optimizer adam(wg_params *set, wg_adam_options options = wg_adam_defaults())
{
    return optimizer(wg_adam_new(set, options));
}
inline optimizer adamw(wg_params *set, wg_adamw_options options = wg_adamw_defaults())
{
    return optimizer(wg_adamw_new(set, options));
}

// Weight averages of a set.
class average : public owner<wg_average, wg_average_free>
{
  public:
    average(wg_params *set, double decay) : owner(wg_average_new(set, decay), wg_params_message(set)) {}

    wg_status update() { return check(wg_average_update(get()), "average: swapped, or empty"); }
    void swap() { wg_average_swap(get()); }
};

// ---- derivatives ---------------------------------------------------------------------------------------------------

inline wg_status backward(wg_tensor loss) { return check(wg_backward(loss), wg_tape_message(loss.tape)); }
inline wg_status eval(wg_tensor x) { return check(wg_eval(&x, 1), wg_tape_message(x.tape)); }

} // namespace throwing or returning

// ---- regions: from here to the end of the block ---------------------------------------------------------------------

template <void (*begin)(wg_tape *), void (*end)(wg_tape *)> class region
{
  public:
    explicit region(wg_tape *tape) : tape_(tape) { begin(tape); }
    ~region() { end(tape_); }
    region(const region &) = delete;
    region &operator=(const region &) = delete;

  private:
    wg_tape *tape_;
};

using no_grad = region<wg_no_grad_begin, wg_no_grad_end>; // no gradient flows through it
using remat = region<wg_remat_begin, wg_remat_end>;       // recomputed in the backward pass

// Names what is recorded, for messages and profiles.
class scope
{
  public:
    scope(wg_tape *tape, const char *name) : tape_(tape) { wg_scope_begin(tape, name); }
    ~scope() { wg_scope_end(tape_); }
    scope(const scope &) = delete;
    scope &operator=(const scope &) = delete;

  private:
    wg_tape *tape_;
};

} // namespace wengert

#endif
