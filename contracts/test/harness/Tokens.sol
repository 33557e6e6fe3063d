// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// An ERC-20 with permits, as plain as can be. It emits nothing: who rebuilds books reads the scheduler's events alone.
contract Token {
    string public constant symbol = "TEST";
    uint8 public constant decimals = 6;
    bytes32 private constant PERMIT_TYPE =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    mapping(address owner => uint256) public nonces;
    mapping(address owner => mapping(address spender => uint256)) public allowance;
    mapping(address owner => uint256) internal _balances;

    function mint(address to, uint256 amount) external {
        _balances[to] += amount;
    }

    /// As a token does whose balances shrink, or as a theft would.
    function burn(address from, uint256 amount) external {
        _balances[from] -= amount;
    }

    function balanceOf(address owner) external view returns (uint256) {
        return _balances[owner];
    }

    function approve(address spender, uint256 amount) public returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external virtual returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external virtual returns (bool) {
        _spend(from, amount);
        _move(from, to, amount);
        return true;
    }

    function domainSeparator() public view returns (bytes32) {
        return keccak256(abi.encode(keccak256("Domain(uint256 chainId,address token)"), block.chainid, this));
    }

    function permitDigest(address owner, address spender, uint256 amount, uint256 deadline)
        public
        view
        returns (bytes32)
    {
        bytes32 permitted =
            keccak256(abi.encode(PERMIT_TYPE, owner, spender, amount, nonces[owner], deadline));
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(), permitted));
    }

    function permit(
        address owner,
        address spender,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        require(block.timestamp <= deadline, "late");
        require(ecrecover(permitDigest(owner, spender, amount, deadline), v, r, s) == owner, "signature");
        ++nonces[owner];
        allowance[owner][spender] = amount;
    }

    function _spend(address from, uint256 amount) internal {
        allowance[from][msg.sender] -= amount;
    }

    function _move(address from, address to, uint256 amount) internal virtual {
        _balances[from] -= amount;
        _balances[to] += amount;
    }
}

/// Returns nothing, as the oldest tokens do.
contract SilentToken {
    mapping(address owner => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    /// Whatever was allowed.
    function transferFrom(address from, address to, uint256 amount) external {
        (balanceOf[from], balanceOf[to]) = (balanceOf[from] - amount, balanceOf[to] + amount);
    }

    function transfer(address to, uint256 amount) external {
        (balanceOf[msg.sender], balanceOf[to]) = (balanceOf[msg.sender] - amount, balanceOf[to] + amount);
    }
}

/// Answers as it is told, and moves the money all the same.
contract AnsweringToken is Token {
    bytes private answer;

    function answerWith(bytes memory answer_) external {
        answer = answer_;
    }

    function transfer(address to, uint256 amount) external override returns (bool) {
        _move(msg.sender, to, amount);
        _answer();
    }

    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        _spend(from, amount);
        _move(from, to, amount);
        _answer();
    }

    function _answer() private view {
        bytes memory given = answer;
        assembly {
            return(add(given, 32), mload(given))
        }
    }
}

/// Takes a fee: out of what is moved, or on top of it.
contract FeeToken is Token {
    uint256 public fee;
    bool public isOnTop;

    function set(uint256 fee_, bool isOnTop_) external {
        (fee, isOnTop) = (fee_, isOnTop_);
    }

    function _move(address from, address to, uint256 amount) internal override {
        _balances[from] -= isOnTop ? amount + fee : amount;
        _balances[to] += isOnTop ? amount : amount - fee;
    }
}

/// Asked by a token before it moves money, and after.
interface IHolder {
    function onToken() external;
}

/// Calls its watcher in the middle of each transfer.
contract CallingToken is Token {
    IHolder public watcher;

    function watch(IHolder watcher_) external {
        watcher = watcher_;
    }

    function _move(address from, address to, uint256 amount) internal override {
        _balances[from] -= amount;
        if (address(watcher) != address(0)) watcher.onToken();
        _balances[to] += amount;
        if (address(watcher) != address(0)) watcher.onToken();
    }
}
