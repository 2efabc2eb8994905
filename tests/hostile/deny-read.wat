;; Refuses every read. No route may show anything past it.
(module
  (memory (export "memory") 2)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
  (data (i32.const 512) "not here")
  (func (export "sessiond:plugin/before-get@0.1.0#before-get")
    (param i32 i32 i32 i32 i32 i32 i32) (result i32)
    (i32.store8 (i32.const 1024) (i32.const 1))
    (i32.store8 (i32.const 1028) (i32.const 0))
    (i32.store (i32.const 1032) (i32.const 512))
    (i32.store (i32.const 1036) (i32.const 8))
    (i32.const 1024)))
