;; Gives the host memory at an odd place, for a list of two events. The host must not write there.
(module
  ;; allocating: (if (i32.eq (local.get 3) (i32.const 8)) (then (return (i32.const 4097))))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $hand_back (local.get $list) (local.get $count))))
