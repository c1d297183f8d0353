"""The library that programs get with `transparent = source`, in C. `net.preload` finds it."""
