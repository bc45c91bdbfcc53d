"""Known values, and their exact order statistics."""
import math
import random

QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)


def lognormal(r):
    return r.lognormvariate(math.log(0.02), 0.9)


def pareto(r):
    return 0.003 * r.paretovariate(1.5)


def bimodal(r):
    return r.gauss(0.004, 0.0004) if r.random() < 0.9 else r.gauss(0.9, 0.05)


def constant(_):
    return 0.0625  # a bound of a bucket at every scale


def heavy(r):
    """So heavy that its mean is infinite."""
    return 0.0001 * r.paretovariate(0.5)


SHAPES = {"lognormal": lognormal, "pareto": pareto, "bimodal": bimodal, "constant": constant, "heavy": heavy}


def values(shape, n, seed, least=1e-5, most=1e-5 * 2 ** 31):
    """n values as the text that is sent, clipped so that all shapes together spread by less than 2^32."""
    r = random.Random(f"{shape} {seed}")
    f = SHAPES[shape]
    return [format(min(max(f(r), least), most), ".9g") for _ in range(n)]


def wide(n, seed):
    """Log-uniform over 2^60."""
    r = random.Random(f"wide {seed}")
    return [format(2.0 ** r.uniform(-30, 30), ".9g") for _ in range(n)]


def exact(sorted_values, q):
    return sorted_values[max(1, math.ceil(q * len(sorted_values))) - 1]


def packed(name, texts, tags, room=8000):
    """DogStatsD lines of packed values (`name:1:2:3|d|#tags`), each no longer than room."""
    head, tail = name, f"|d|#{tags}" if tags else "|d"
    line, used = [], len(head) + len(tail)
    for t in texts:
        if used + len(t) + 1 > room:
            yield f"{head}:{':'.join(line)}{tail}"
            line, used = [], len(head) + len(tail)
        line.append(t)
        used += len(t) + 1
    if line:
        yield f"{head}:{':'.join(line)}{tail}"
