;; Rejects everything, with a text of several lines. The host must pass it on as data.
(module
  ;; prelude
  (data (i32.const 512) "not\0a\"here\"")
  (func $answer (param $list i32) (param $count i32) (result i32)
    (i32.store8 (i32.const 1024) (i32.const 1))
    (i32.store8 (i32.const 1028) (i32.const 0))
    (i32.store (i32.const 1032) (i32.const 512))
    (i32.store (i32.const 1036) (i32.const 10))
    (i32.const 1024)))
