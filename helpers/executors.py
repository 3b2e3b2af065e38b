"""Jobs on other processes and machines: submit, gather, one retry."""

from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from multiprocessing import get_context
from queue import SimpleQueue

from .arguments import integer, require


def start(name, workers):
    """A context with a concurrent.futures.Executor.

    name: "processes" on this machine, or the address of a Dask scheduler, such as
    tcp://127.0.0.1:8786. workers: how many processes; None is one for each core. Raises ValueError
    on a bad argument, and on entry OSError if no scheduler answers.
    """
    if name == "processes":
        workers = workers if workers is None else integer("workers", workers, 1, 1024)
        return ProcessPoolExecutor(workers, get_context("spawn"))
    allowed = "'processes' or the address of a Dask scheduler, such as tcp://127.0.0.1:8786"
    require(isinstance(name, str) and "://" in name, "executor", allowed, name)
    require(workers is None, "workers", "left out with a Dask scheduler", workers)
    return _dask(name)


@contextmanager
def _dask(address):
    from distributed import Client

    with Client(address, timeout=10) as client:
        yield client.get_executor(pure=False)


def gather(function, jobs, executor=None):
    """Yields the number and the result of function(*job) for each of `jobs`, as they are done.

    executor: a concurrent.futures.Executor; None runs one job after the other. A job whose worker
    dies is tried once more; if that worker dies too, its result is None. With its first dead worker
    a process pool ends: all that it had not finished is tried once more, one job after the other.
    Other errors are raised. Jobs that have not begun are cancelled when the caller stops early.
    """
    if executor is None:
        for k, job in enumerate(jobs):
            yield k, function(*job)
        return
    futures, done, died = {}, SimpleQueue(), []
    try:
        for k, job in enumerate(jobs):
            future = _submit(executor, function, *job)
            futures[future] = k
            future.add_done_callback(done.put)
        for _ in jobs:
            future = done.get()
            if _died(future):
                died.append(futures[future])
            else:
                yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()
    for k in died:
        # A process pool takes no more work once a worker has died: a new one does the second try.
        pool = isinstance(executor, ProcessPoolExecutor)
        again = ProcessPoolExecutor(1, get_context("spawn")) if pool else nullcontext(executor)
        with again as second:
            # Dask would answer the same call with the same failure; a partial is another call.
            future = _submit(second, partial(function, *jobs[k]))
            yield k, None if _died(future) else future.result()


def _submit(executor, function, *job):
    """A Future, also from a pool that was broken before."""
    try:
        return executor.submit(function, *job)
    except BrokenExecutor as failure:
        future = Future()
        future.set_exception(failure)
        return future
    except RuntimeError as failure:  # such as after its shutdown
        raise ValueError(f"executor must take jobs, got one that says: {failure}") from failure


def _died(future):
    """Waits for the end; whether the worker died, not whether its work was wrong."""
    failure = future.exception()
    return isinstance(failure, BrokenExecutor) or type(failure).__name__ == "KilledWorker"  # Dask's
