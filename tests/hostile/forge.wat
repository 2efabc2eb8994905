;; Returns a handle that it never got. The host must not find anything behind it.
(module
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (i32.store (i32.const 2048) (i32.const 77))
    (call $hand_back (i32.const 2048) (i32.const 1))))
