"""The loop of `Trainer.fit`: epochs, their steps, and the batches of a step."""

import time
from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import TYPE_CHECKING

from manualnn.elementary import Array
from manualnn.errors import NotFiniteError
from manualnn.training.accumulation import GradientSum
from manualnn.training.batches import Samples
from manualnn.training.step_plan import StepPlan
from manualnn.training.stepper import Stepper

if TYPE_CHECKING:
    from manualnn.training.run import Run


class TrainingLoop(Stepper):
    """A stepper that does all epochs of a run; `Trainer` documents the arguments."""

    def _train(
        self,
        run: "Run",
        epochs: int,
        target_loss: float | None,
        asked: Callable[[], str],
        advance: Callable[[float], None],
    ) -> None:
        """Do the epochs. `asked` returns why to stop before the next step, or ""."""
        history = run.history
        started = time.perf_counter() - history.seconds
        history.stopped = run.end_reason(target_loss)
        while history.epochs < epochs and not history.stopped:
            try:
                history.stopped = asked() or self._epoch(run, asked)
                if history.stopped:
                    break
                run.finish_epoch()
            except NotFiniteError as reason:
                raise self._diverged(reason, history) from None
            finally:
                history.seconds = time.perf_counter() - started
            advance(history.loss[-1])
            history.stopped = run.call_back() or run.end_reason(target_loss)
            for callback in run.hooked:
                callback.after_epoch(run)

    def _epoch(self, run: "Run", asked: Callable[[], str]) -> str:
        """Do a step on every batch; return why it ended before the last one, or ""."""
        watchers = [c.after_step for c in run.hooked if c.watches_steps]
        several = run.accumulation_steps - 1
        total = GradientSum(self._plans.grads.vector) if several else None
        batches = run.batches.arrange(run.draw_order(), run.batch)
        for x, t, w in batches:
            # The order is drawn before the first batch, so an epoch that has begun has a batch.
            if run.batch and (reason := asked()):
                return reason
            plan = self._plans.find(self.loss, x, t, w)
            if total is None:
                loss, share = self._step(plan), self._share(plan, t, w)
                run.batch += 1
            else:
                others = islice(batches, several)
                with self._keeping_buffers():
                    loss, share = self._step_over(chain([Samples(x, t, w)], others), run, total)
            run.total += loss * share
            run.weight += share
            run.lr = self.rule.lr
            for watch in watchers:
                watch(run)
        return ""

    def _step_over(
        self, batches: Iterable[Samples], run: "Run", total: GradientSum
    ) -> tuple[float, float]:
        """Do one step on several batches, each of which changes the buffers.

        Return the loss before the step, and its divisor.
        """
        for x, t, w in batches:
            plan = self._plans.find(self.loss, x, t, w)
            loss = self._in_context(self._measure, plan)
            self._in_context(self._track, plan)
            total.add(self.loss, loss, self._share(plan, t, w))
            run.batch += 1
        loss, share = total.finish()
        if not plan.is_plain:
            loss = self._with_penalty(loss)
        self._in_context(self._move, plan)
        return loss, share

    def _share(self, plan: StepPlan, t: Array, w: Array | None) -> float:
        """Return the divisor of the loss of a batch."""
        if w is None:
            return float(self.loss.divisor(plan.y, t))
        return float(self.loss.weighted_divisor(plan.y, t, w))
