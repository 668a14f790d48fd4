#include "halftone/autograd/recompute.h"

namespace halftone {

Var recomputed(const Var& x, Segment segment) {
  Tape& tape = x.tape();
  if (!x.needs_grad()) return segment(tape, x);
  Tape reading(Tape::Mode::no_grad, tape.times(), &tape);
  const Tensor y = segment(reading, reading.constant(x.value())).value();
  return tape.record("recomputed", {x}, y,
                     [x, segment = std::move(segment), times = tape.times()](const Tensor& dy) {
                       Tape again(Tape::Mode::record, times);
                       const Var input = again.variable(x.value());
                       again.backward(segment(again, input), dy);
                       if (input.grad().filled) x.add_grad(input.grad().tensor);
                     });
}

}  // namespace halftone
