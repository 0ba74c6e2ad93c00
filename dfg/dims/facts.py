class Facts:
    def equal(self, a, b):
        if a == b: return True
        d = a - b
        return False if isinstance(d, int) else None
    def at_least(self, a, b):
        d = a - b
        return d >= 0 if isinstance(d, int) else None
    def normal(self, d): return d
