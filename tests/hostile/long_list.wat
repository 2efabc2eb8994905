;; Returns a list of four thousand million events. The host must not believe it.
(module
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $hand_back (i32.const 4096) (i32.const 0xffffffff))))
