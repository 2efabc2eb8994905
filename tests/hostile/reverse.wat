;; Returns its first two events in reverse order. The host must refuse that.
(module
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (i32.store (i32.const 2048) (i32.load offset=4 (local.get $list)))
    (i32.store (i32.const 2052) (i32.load (local.get $list)))
    (call $hand_back (i32.const 2048) (i32.const 2))))
